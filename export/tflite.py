"""LiteRT (.tflite): builtin ops only, dynamic batch and time, recurrent layers as hoisted loops."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from export.errors import ExportError, first_line
from export.loops import LoopEngine, whole_product
from export.lowering import Lowering
from export.quantization_tflite import TfliteQuantizer
from export.saved_model import save_signatures
from export.tflite_loops import drop_unused_variables, widen_constant_results
from export.tflite_ops import PATCHES
from export.tflite_rnn import collect_in_chunks, final_states
from export.tflite_size import pack
from export.trace import Traced

SIGNATURE = "serving_default"
# How WHILE, IF and CALL_ONCE name the subgraphs that they run.
_SUBGRAPH_FIELDS = {
    "condSubgraphIndex",
    "bodySubgraphIndex",
    "thenSubgraphIndex",
    "elseSubgraphIndex",
    "initSubgraphIndex",
}


def lowering() -> Lowering:
    """Recurrent layers as while loops of builtin ops."""
    return Lowering(LoopEngine(collect_in_chunks, whole_product, final_states), PATCHES)


def convert(traced: Traced, metadata: dict[str, str], quantizer: TfliteQuantizer | None = None) -> bytes:
    """The LiteRT file.

    Args:
        traced: The model, traced with this module's lowering.
        metadata: Entries to put into the file.
        quantizer: Makes it another precision than float32.

    Raises:
        ExportError: The model needs an op that LiteRT lacks.
    """
    holder = tf.Module()  # owns the variables, which the converter then freezes
    holder.variables_of_model = list(traced.variables)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.function], holder)
    return _finish(run_converter(converter, quantizer), {SIGNATURE: traced}, metadata)


def convert_signatures(
    signatures: dict[str, Traced], metadata: dict[str, str], quantizer: TfliteQuantizer | None = None
) -> bytes:
    """One file with several signatures, which share their weights; a plain invoke runs the first.

    Args:
        signatures: Traced functions of one model, by signature.
        metadata: Entries to put into the file.
        quantizer: Makes it another precision than float32.

    Raises:
        ExportError: The model needs an op that LiteRT lacks.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_signatures(signatures, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        return _finish(run_converter(converter, quantizer), signatures, metadata)


def run_converter(converter: Any, quantizer: TfliteQuantizer | None = None) -> bytes:
    """Converts to builtin ops, and quantizes where asked.

    Raises:
        ExportError: The model needs an op that LiteRT lacks.
    """
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.exclude_conversion_metadata = True  # it would be dropped below; writing it takes a second
    if quantizer is not None:
        quantizer.configure(converter)
    try:
        with _quiet():
            content = bytes(converter.convert())
    except Exception as error:  # ConverterError, but also bare RuntimeError and ValueError
        raise ExportError(_explain(error)) from error
    return content if quantizer is None else quantizer.calibrate(content)


def _explain(error: Exception) -> str:
    lacking = sorted(
        set(re.findall(r"tf\.(\w+)(?:\(|\{| )", str(error).split("Flex ops:")[-1])) - {"entry_function", "Placeholder"}
    )
    if "Flex ops:" in str(error) or "custom op" in str(error):
        if "f64>" in str(error):
            return (
                "LiteRT computes in float32, and the model in float64: make all of it with dtype='float32', without "
                "keras.ops.median and quantile"
            )
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


def _finish(content: bytes, signatures: dict[str, Traced], metadata: dict[str, str]) -> bytes:
    """Gives the tensors and the signatures the models' names, and writes the metadata."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    if not model.signatureDefs:  # the converter goes by way of a temporary SavedModel, and without it if that fails
        raise ExportError(f"the LiteRT converter could not write its temporary files into {tempfile.gettempdir()!r}")
    drop_unused_variables(model)
    widen_constant_results(model)
    _strip(model)
    order = list(signatures)
    model.signatureDefs.sort(key=lambda entry: order.index(entry.signatureKey.decode()))
    _put_first(model, order[0])
    for signature in model.signatureDefs:
        arguments = signatures[signature.signatureKey.decode()].arguments
        names = {argument.encode(): name.encode() for name, argument in arguments.items()}
        for entry in signature.inputs:
            entry.name = names[entry.name]
        main = model.subgraphs[signature.subgraphIndex]
        for entry in [*signature.inputs, *signature.outputs]:
            main.tensors[entry.tensorIndex].name = entry.name
    for key, value in metadata.items():
        _add_metadata(model, key, value)
    return pack(model)


def _put_first(model: Any, key: str) -> None:
    """Makes a signature's subgraph the first, which a plain invoke runs."""
    home = next(s.subgraphIndex for s in model.signatureDefs if s.signatureKey == key.encode())
    moved = {0: home, home: 0}
    model.subgraphs[0], model.subgraphs[home] = model.subgraphs[home], model.subgraphs[0]
    for signature in model.signatureDefs:
        signature.subgraphIndex = moved.get(signature.subgraphIndex, signature.subgraphIndex)
    for operator in (operator for subgraph in model.subgraphs for operator in subgraph.operators or []):
        for field in _SUBGRAPH_FIELDS & set(vars(operator.builtinOptions or object)):
            index = getattr(operator.builtinOptions, field)
            setattr(operator.builtinOptions, field, moved.get(index, index))


def _strip(model: Any) -> None:
    """Drops what no runtime reads: the traced ops' long names and empty tables are most of a small file's bytes."""
    kept = [model.buffers[0]]  # the format's empty buffer, for all tensors without constant data
    places: dict[bytes, int] = {}  # signatures and loops share their constants
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
                continue
            tensor.buffer = places.setdefault(bytes(buffer.data), len(kept))
            if tensor.buffer == len(kept):
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
