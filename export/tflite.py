"""LiteRT (.tflite): builtin ops only, dynamic batch and time, recurrent layers as hoisted loops."""

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import flatbuffers
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from export.errors import ExportError, first_line
from export.loops import LoopEngine
from export.lowering import Lowering
from export.tflite_rnn import collect_in_chunks
from export.trace import Traced

_IDENTIFIER = b"TFL3"


def lowering() -> Lowering:
    """Recurrent layers as while loops of builtin ops."""
    return Lowering(LoopEngine(collect_in_chunks))


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
    lacking = sorted(set(re.findall(r"tf\.(\w+)(?:\(|\{| )", str(error).split("Flex ops:")[-1])))
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
    (signature,) = model.signatureDefs
    names = {argument.encode(): name.encode() for name, argument in traced.arguments.items()}
    for entry in signature.inputs:
        entry.name = names[entry.name]
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = b""  # long paths of traced ops: a third of a small file, and nobody's business
    main = model.subgraphs[signature.subgraphIndex]
    for entry in [*signature.inputs, *signature.outputs]:
        main.tensors[entry.tensorIndex].name = entry.name
    for key, value in metadata.items():
        _add_metadata(model, key, value)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _add_metadata(model: Any, key: str, value: str) -> None:
    buffer = schema.BufferT()
    buffer.data = list(value.encode())
    entry = schema.MetadataT()
    entry.name, entry.buffer = key.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
