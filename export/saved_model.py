"""SavedModel: serves on CPU and GPU alike, without the model's own code, recurrent layers as hoisted loops."""

from pathlib import Path

import keras
import tensorflow as tf

from export import scans
from export.errors import ExportError, first_line
from export.loops import LoopEngine, collect_in_array
from export.lowering import Lowering
from export.trace import Traced

SIGNATURE = "serving_default"
PATCHES = scans.associative_by(scans.in_arrays)


def lowering() -> Lowering:
    """Recurrent layers as while loops that collect in a TensorArray."""
    return Lowering(LoopEngine(collect_in_array), PATCHES)


def write(traced: Traced, folder: Path, metadata: dict[str, str]) -> None:
    """Writes the SavedModel, its metadata as assets.extra files, where TensorFlow leaves room for them.

    Raises:
        ExportError: TensorFlow cannot save the model.
    """
    write_signatures({SIGNATURE: traced}, folder, metadata)


def write_signatures(signatures: dict[str, Traced], folder: Path, metadata: dict[str, str]) -> None:
    """`write` for several functions of one model, by signature."""
    save_signatures(signatures, folder)
    extra = folder / "assets.extra"
    extra.mkdir()
    for key, value in metadata.items():
        (extra / f"{key}.json").write_text(value, encoding="utf-8")


def save_signatures(signatures: dict[str, Traced], folder: str | Path) -> None:
    """Saves the functions, and the variables and lookup tables that they share.

    Raises:
        ExportError: TensorFlow cannot save the model.
    """
    module = tf.Module()
    variables = {id(v): v for traced in signatures.values() for v in traced.variables}
    module.variables_of_model = list(variables.values())
    module.tables_of_model = [table for traced in signatures.values() for table in _tables(traced.model)]
    functions = {name: traced.function for name, traced in signatures.items()}
    module.functions = list(functions.values())  # named "serve", the LiteRT converter would look for nothing else
    try:
        tf.saved_model.save(module, str(folder), signatures=functions)
    except tf.errors.OpError as error:  # TensorFlow's own words end with the system's: "...; No space left on device"
        reason = str(error.message).split(" [Op:")[0].split("; ")[-1]
        raise ExportError(f"cannot write {Path(folder).name!r}: {reason}") from error
    except (ValueError, TypeError, AssertionError) as error:
        name = next(iter(signatures.values())).model.name
        raise ExportError(f"TensorFlow cannot save model {name!r}: {first_line(error)}") from error


def _tables(model: keras.Model) -> list[tf.saved_model.experimental.TrackableResource]:
    """The lookup tables that layers hold (a vocabulary's, say); a function does not keep them alive itself."""
    held = (value for layer in model._flatten_layers() for value in vars(layer).values())
    return [value for value in held if isinstance(value, tf.saved_model.experimental.TrackableResource)]
