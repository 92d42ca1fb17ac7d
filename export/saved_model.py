"""SavedModel: serves on CPU and GPU alike, without the model's own code, recurrent layers as hoisted loops."""

from pathlib import Path

import tensorflow as tf

from export.errors import ExportError, first_line
from export.loops import LoopEngine, collect_in_array
from export.lowering import Lowering
from export.trace import Traced

SIGNATURE = "serving_default"


def lowering() -> Lowering:
    """Recurrent layers as while loops that collect in a TensorArray."""
    return Lowering(LoopEngine(collect_in_array))


def write(traced: Traced, folder: Path, metadata: dict[str, str]) -> None:
    """Writes the SavedModel, its metadata as assets.extra files, where TensorFlow leaves room for them.

    Raises:
        ExportError: TensorFlow cannot save the model.
    """
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in traced.model.variables]
    module.serve = traced.function
    try:
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: traced.function})
    except tf.errors.OpError as error:  # TensorFlow's own words end with the system's: "...; No space left on device"
        reason = str(error.message).split(" [Op:")[0].split("; ")[-1]
        raise ExportError(f"cannot write {folder.name!r}: {reason}") from error
    except (ValueError, TypeError, AssertionError) as error:
        raise ExportError(f"TensorFlow cannot save model {traced.model.name!r}: {first_line(error)}") from error
    extra = folder / "assets.extra"
    extra.mkdir()
    for key, value in metadata.items():
        (extra / f"{key}.json").write_text(value)
