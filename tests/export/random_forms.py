"""The forms that users' models take: functional, Sequential, subclassed, nested, several inputs and outputs ..."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tests.export import user_cells
from tests.export.random_models import Builder, Feed, L, Sample


def _single(values: list[Any]) -> Any:
    return values[0]


def _input(feed: Feed) -> Any:
    return keras.Input(feed.shape[1:], name=feed.name, dtype=feed.dtype)


def _spec(feed: Feed) -> keras.InputSpec:
    return keras.InputSpec(shape=feed.shape, dtype=feed.dtype)


def _zeros(feed: Feed) -> Any:
    return ops.zeros([size or (2, 5)[i] for i, size in enumerate(feed.shape)], feed.dtype)


def _run(steps: list[L.Layer], x: Any) -> Any:
    for step in steps:
        x = step(x)
    return x


def functional(b: Builder) -> Sample:
    feed, layers = b.source()
    x = _input(feed)
    y = _run(layers + b.chain(), x)
    return Sample(keras.Model(x, y), (feed,), _single, None, b.traits)


def nested(b: Builder) -> Sample:
    """A functional model around a Sequential one around a functional one."""
    feed, layers = b.source()
    x = _input(feed)
    y = _run(layers, x)
    inner = keras.Input((feed.shape[1], 4))
    inner_model = keras.Model(inner, _run(b.chain(end="sequence", depth=2), inner), name="inner")
    y = keras.Sequential([inner_model, *b.chain(depth=1)], name="outer")(y)
    return Sample(keras.Model(x, y, name="whole"), (feed,), _single, None, b.traits)


def sequential_input(b: Builder) -> Sample:
    feed, layers = b.source()
    model = keras.Sequential([_input(feed), *layers, *b.chain()])
    return Sample(model, (feed,), _single, None, b.traits)


def sequential_called(b: Builder) -> Sample:
    """No Input: built by its first call, as fit does it."""
    feed, layers = b.source()
    model = keras.Sequential([*layers, *b.chain()])
    model(_zeros(feed))
    return Sample(model, (feed,), _single, None, b.traits)


def subclassed_called(b: Builder) -> Sample:
    feed, layers = b.source()
    model = user_cells.Chain(layers + b.chain())
    model(_zeros(feed))
    return Sample(model, (feed,), _single, None, b.traits)


def subclassed_dict(b: Builder) -> Sample:
    feed, layers = b.source("sequence")
    static = Feed("static", (None, 3))
    model = user_cells.DictModel(layers + b.chain(end="vector"))
    model({"sequence": _zeros(feed), "static": _zeros(static)})
    return Sample(model, (feed, static), lambda v: {"sequence": v[0], "static": v[1]}, None, b.traits)


def mask_by_hand(b: Builder) -> Sample:
    """A bool input goes to the recurrent layer's mask argument."""
    time = 6 if b.static_time else None
    feeds = (Feed("features", (None, time, 4)), Feed("valid", (None, time), "mask"))
    x, valid = map(_input, feeds)
    layer = b.any_recurrent(sequences=True)
    y = b.any_recurrent(sequences=b.chance(50))(layer(x, mask=valid))
    return Sample(keras.Model([x, valid], y), feeds, list, None, b.traits)


def states(b: Builder) -> Sample:
    """Initial states are inputs, final states are outputs."""
    feed, layers = b.source()
    x = _input(feed)
    y = _run(layers, x)
    layer = b.recurrent(sequences=b.chance(50), return_state=True)
    if b.chance(30):
        layer.go_backwards = False
        layer = L.Bidirectional(layer, merge_mode=b.pick(("concat", "sum", "mul", "ave", None)))
        return Sample(keras.Model(x, list(layer(y))), (feed,), _single, None, b.traits)
    sizes = keras.tree.flatten(layer.state_size)
    given = tuple(Feed(f"state_{i}", (None, size)) for i, size in enumerate(sizes))
    inputs = [_input(state) for state in given]
    packed = keras.tree.pack_sequence_as(layer.state_size, inputs) if len(inputs) > 1 else inputs
    results = layer(y, initial_state=packed)
    return Sample(keras.Model([x, *inputs], keras.tree.flatten(results)), (feed, *given), list, None, b.traits)


def encoder_decoder(b: Builder) -> Sample:
    """The encoder's final states start the decoder; perhaps attention, in one of three kinds, between them."""
    source, source_layers = b.source("encoder_inputs")
    target, target_layers = b.source("decoder_inputs")
    x, y = _input(source), _input(target)
    name, units = b.pick(("LSTM", "GRU", "SimpleRNN")), b.pick((2, 4))
    memory, *state = getattr(L, name)(units, return_sequences=True, return_state=True)(_run(source_layers, x))
    decoded = getattr(L, name)(units, return_sequences=True)(_run(target_layers, y), initial_state=state)
    attention = b.pick((None, "dot", "additive", "heads"))
    b.note(f"{name} {units} attention {attention}")
    if attention == "heads":
        context = L.MultiHeadAttention(2, 3)(decoded, memory)
    elif attention is not None:
        context = {"dot": L.Attention, "additive": L.AdditiveAttention}[attention]()([decoded, memory])
    if attention is not None:
        decoded = L.Concatenate()([decoded, context])
    logits = L.TimeDistributed(L.Dense(5), name="logits")(decoded)
    return Sample(keras.Model([x, y], logits), (source, target), list, None, b.traits)


def self_attention(b: Builder) -> Sample:
    """Recurrent layers and attention over their outputs, with a residual and normalisation."""
    feed, layers = b.source()
    x = _input(feed)
    y = L.Dense(4)(_run(layers, x))
    kind = b.pick(("heads", "causal heads", "dot", "additive"))
    b.note(kind)
    if "heads" in kind:
        z = L.MultiHeadAttention(2, 2)(y, y, use_causal_mask=kind.startswith("causal"))
    else:
        z = {"dot": L.Attention, "additive": L.AdditiveAttention}[kind]()([y, y])
    y = L.LayerNormalization()(L.Add()([y, z]))
    return Sample(keras.Model(x, _run(b.chain(depth=2), y)), (feed,), _single, None, b.traits)


def many_in_and_out(b: Builder) -> Sample:
    """Two sequences and a vector in as a nested dict; a nested dict out."""
    first, first_layers = b.source("first")
    second, second_layers = b.source("second")
    static = Feed("static", (None, 3))
    inputs = {"sequences": {"first": _input(first), "second": _input(second)}, "static": _input(static)}
    a = _run(first_layers + b.chain(end="vector", depth=2), inputs["sequences"]["first"])
    c = _run(second_layers + b.chain(end="sequence", depth=1), inputs["sequences"]["second"])
    joint = L.Dense(3, name="joint")(L.Concatenate()([a, inputs["static"]]))
    outputs = {"joint": joint, "steps": {"raw": c, "pooled": L.GlobalMaxPooling1D()(c)}}
    pack = lambda v: {"sequences": {"first": v[0], "second": v[1]}, "static": v[2]}  # noqa: E731
    return Sample(keras.Model(inputs, outputs), (first, second, static), pack, None, b.traits)


def stateful(b: Builder) -> Sample:
    batch, time = 3, 6 if b.static_time else b.pick((None, 6))
    x = keras.Input(batch_shape=(batch, time, 4), name="features")
    y = x
    for _ in range(b.pick((0, 1))):
        y = b.recurrent(sequences=True, stateful=True)(y)
    y = b.recurrent(sequences=b.chance(50), stateful=True)(y)
    return Sample(keras.Model(x, y), (Feed("features", (batch, time, 4)),), _single, None, b.traits)


def frames(b: Builder) -> Sample:
    """TimeDistributed over images or over sequences of sequences."""
    time = 6 if b.static_time else None
    inner = b.pick(("images", "sequences", "masked sequences"))
    b.note(inner)
    feed = Feed("frames", (None, time, 5, 4, 2)) if inner == "images" else Feed("frames", (None, time, 5, 3))
    x = _input(feed)
    if inner == "images":
        y = L.TimeDistributed(L.Conv2D(3, 2, activation="relu"))(x)
        y = L.TimeDistributed(b.pick((L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D))())(y)
    else:
        y = L.TimeDistributed(L.Masking())(x) if inner != "sequences" else x
        y = L.TimeDistributed(b.any_recurrent(sequences=False))(y)
    return Sample(keras.Model(x, _run(b.chain(depth=2), y)), (feed,), _single, None, b.traits)


def convolutional(b: Builder) -> Sample:
    """ConvLSTM1D and ConvLSTM2D, alone or bidirectional, on sequences of signals and images."""
    time = 6 if b.static_time else None
    rank, sequences = b.pick((1, 2)), b.chance(50)
    padding, stride = b.pick((("same", 1), ("valid", 1), ("same", 2)))
    b.note(f"ConvLSTM{rank}D {padding} {stride} sequences={sequences}")
    feed = Feed("frames", (None, time, *(5, 4)[:rank], 2))
    x = _input(feed)
    layer = getattr(L, f"ConvLSTM{rank}D")(2, 3, padding=padding, strides=stride, return_sequences=sequences)
    y = L.Bidirectional(layer)(x) if b.chance(25) else layer(x)
    return Sample(keras.Model(x, y), (feed,), _single, None, b.traits)


def subclassed_signature(b: Builder) -> Sample:
    """Never called: only the signature tells its inputs."""
    feed, layers = b.source()
    model = user_cells.Chain(layers + b.chain())
    return Sample(model, (feed,), _single, [_spec(feed)], b.traits)


def sequential_signature(b: Builder) -> Sample:
    """A Sequential without Input, never called."""
    feed, layers = b.source()
    return Sample(keras.Sequential([*layers, *b.chain()]), (feed,), _single, [_spec(feed)], b.traits)


FORMS: dict[str, Callable[[Builder], Sample]] = {
    form.__name__: form
    for form in (
        *(functional, nested, sequential_input, sequential_called, subclassed_called, subclassed_dict, mask_by_hand),
        *(states, encoder_decoder, self_attention, many_in_and_out, stateful, frames, convolutional),
        *(subclassed_signature, sequential_signature),
    )
}
