"""LiteRT (.tflite): builtin ops only, dynamic batch and time, recurrent layers as hoisted loops."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import flatbuffers
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from export.errors import ExportError, first_line
from export.loops import LoopEngine
from export.lowering import Lowering
from export.tflite_ops import PATCHES
from export.tflite_rnn import collect_in_chunks
from export.trace import Traced

_IDENTIFIER = b"TFL3"


def lowering() -> Lowering:
    """Recurrent layers as while loops of builtin ops."""
    return Lowering(LoopEngine(collect_in_chunks), PATCHES)


def convert(traced: Traced, metadata: dict[str, str]) -> bytes:
    """The LiteRT file.

    Args:
        traced: The model, traced with this module's lowering.
        metadata: Entries to put into the file.

    Raises:
        ExportError: The model needs an op that LiteRT lacks.
    """
    holder = tf.Module()  # owns the variables, which the converter then freezes
    holder.variables_of_model = [variable.value for variable in traced.model.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.function], holder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        with _quiet():
            content = converter.convert()
    except Exception as error:  # ConverterError, but also bare RuntimeError and ValueError
        raise ExportError(_explain(error)) from error
    return _finish(content, traced, metadata)


def _explain(error: Exception) -> str:
    lacking = sorted(set(re.findall(r"tf\.(\w+)(?:\(|\{| )", str(error).split("Flex ops:")[-1])) - {"entry_function"})
    if "Flex ops:" in str(error) or "custom op" in str(error):
        return f"LiteRT has no builtin op for {', '.join(lacking) or first_line(error)}; replace it in the model"
    return f"the LiteRT converter failed: {first_line(error)}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter logs its progress as warnings."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _finish(content: bytes, traced: Traced, metadata: dict[str, str]) -> bytes:
    """Gives the tensors and the signature the model's names, and writes the metadata."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    if not model.signatureDefs:  # the converter goes by way of a temporary SavedModel, and without it if that fails
        raise ExportError(f"the LiteRT converter could not write its temporary files into {tempfile.gettempdir()!r}")
    (signature,) = model.signatureDefs
    names = {argument.encode(): name.encode() for name, argument in traced.arguments.items()}
    for entry in signature.inputs:
        entry.name = names[entry.name]
    _strip(model)
    main = model.subgraphs[signature.subgraphIndex]
    for entry in [*signature.inputs, *signature.outputs]:
        main.tensors[entry.tensorIndex].name = entry.name
    for key, value in metadata.items():
        _add_metadata(model, key, value)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _strip(model: Any) -> None:
    """Drops what no runtime reads: the traced ops' long names and empty tables are most of a small file's bytes."""
    kept = [model.buffers[0]]  # the format's empty buffer, for all tensors without constant data
    mains = {signature.subgraphIndex for signature in model.signatureDefs}
    for number, subgraph in enumerate(model.subgraphs):
        ports = {int(index) for index in (*subgraph.inputs, *subgraph.outputs)} if number in mains else set()
        for index, tensor in enumerate(subgraph.tensors):
            tensor.name = None
            if index not in ports:
                tensor.shapeSignature = None  # tells dynamic sizes of inputs and outputs; inside, shapes are inferred
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
            buffer = model.buffers[tensor.buffer]
            if buffer.data is None or len(buffer.data) == 0:
                tensor.buffer = 0
            else:
                tensor.buffer = len(kept)
                kept.append(buffer)
    # Of the converter's notes the least runtime version is of use; the rest describes the machine that converted.
    model.metadata = [entry for entry in model.metadata or [] if entry.name == b"min_runtime_version"]
    for entry in model.metadata:
        kept.append(model.buffers[entry.buffer])
        entry.buffer = len(kept) - 1
    model.buffers = kept


def _add_metadata(model: Any, key: str, value: str) -> None:
    buffer = schema.BufferT()
    buffer.data = list(value.encode())
    entry = schema.MetadataT()
    entry.name, entry.buffer = key.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)
