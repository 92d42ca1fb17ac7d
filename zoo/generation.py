"""A trained model and a way of decoding as one Keras model: what is saved or exported is the whole translator."""

from collections.abc import Collection
from typing import Any

import keras

from zoo.layers.generate import Generate, Way


def generator(
    model: keras.Model,
    *,
    way: Way = "greedy",
    max_length: int,
    start_id: int | None = None,
    end_id: int | None = None,
    limited: bool = False,
    forbidden: Collection[int] = (),
    **settings: Any,
) -> keras.Model:
    """Makes a model that writes whole sequences.

        translator = generator(model, way="beam", max_length=50, start_id=1, end_id=2, beam_width=4)
        translator({"encoder_token_ids": source})["generated_ids"]
        export.export_model(translator, "translator.tflite")

    Args:
        model: A trained language model, captioner or encoder-decoder; the weights are shared, not copied.
        way: `"greedy"`, `"beam"` or `"sample"`.
        max_length: How many tokens to write at most.
        start_id: The token that each row starts from. None: the model takes prompts, as its input for tokens; each
            holds one token at least and may be padded on either side.
        end_id: The token after which a row has ended; None: every row is written to max_length.
        limited: Whether there is an input `max_tokens` (batch,) int32: how many tokens each row gets at most, from 1
            to max_length.
        forbidden: Tokens that are never written, beside the padding: those that stand for no text, such as the start.
        **settings: Further arguments of `zoo.decoding.beam_search` (`beam_width` among them) or `zoo.decoding.sample`.

    Returns:
        A model from the inputs of the model, without its tokens where there is a start token, and to sample `seed`
        (batch,) int32 and, unless it is among the settings, `temperature` (batch,) float32, to a dictionary:
        `generated_ids` (batch, max_length), `lengths` and `log_probabilities` (batch,); of beam search each with an
        axis n_best after the batch, and `scores`; of sampling also `next_seed`.

    Raises:
        ValueError: The model can't be run token by token, has no input but its tokens and no prompt either, or the way
            has no such setting.
    """
    layer = Generate(model, way, max_length, start_id, end_id, settings, forbidden, name="generate")
    prompted = start_id is None
    inputs = {
        tensor.name: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
        for tensor in model.inputs
        if prompted or tensor.name != layer.stepper.token_input
    }
    if not inputs:
        raise ValueError(f"{model.name} has no input but its tokens: leave start_id out, and give prompts")
    controls = {"max_tokens": "int32"} if limited else {}
    if way == "sample":
        controls |= {"seed": "int32"} | ({} if "temperature" in settings else {"temperature": "float32"})
    inputs |= {name: keras.Input(shape=(), dtype=dtype, name=name) for name, dtype in controls.items()}
    return keras.Model(inputs, layer(inputs), name=f"{model.name}_{way}")
