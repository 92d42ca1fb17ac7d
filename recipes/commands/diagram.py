"""A model as text: which layer reads which, and what it gives."""

from typing import Any


def diagram(model: Any) -> list[str]:
    """Draws a functional model.

    Args:
        model: The model.

    Returns:
        A line for each layer in the order of the computation: its name and kind, the shapes that it gives (`any` is a
        length that each call chooses), what it reads; `*` marks the model's outputs.
    """
    import keras

    names = {layer.name for layer in model.layers}
    outputs = {id(tensor) for tensor in model.outputs}
    rows = []
    for layer in model.layers:
        for node in layer._inbound_nodes:
            before = [tensor._keras_history.operation.name for tensor in node.input_tensors]
            reads = [name for name in dict.fromkeys(before) if name in names]  # a mask's own ops are no layers
            mark = "*" if any(id(tensor) in outputs for tensor in node.output_tensors) else ""
            shapes = " ".join(_shape(tensor.shape) for tensor in node.output_tensors)
            kind = "input" if isinstance(layer, keras.layers.InputLayer) else type(layer).__name__
            rows.append((layer.name + mark, kind, shapes, f"<- {', '.join(reads)}" if reads else ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*map(str.ljust, row, widths), row[3]]).rstrip() for row in rows]


def _shape(shape: tuple[int | None, ...]) -> str:
    sizes = ["any" if size is None else str(size) for size in shape[1:]]
    return f"({', '.join(['batch', *sizes])})"
