"""A sequence in, another sequence out, each with a length of its own."""

from typing import Any

import keras

from zoo.blocks import logits_head, scores_at_each_step, sequence_dropout
from zoo.cells import Cell
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.layers import AppendContext, GlobalAttention, PartlyLabelledModel
from zoo.layers.global_attention import Score
from zoo.one_to_many import ContextPath
from zoo.registry import register_model
from zoo.seq2seq_blocks import Query, decode, decode_attending, encode, token_sequence
from zoo.specs import TaskShape

INPUTS = {
    "encoder_token_ids": "batch source_time < source_vocabulary",
    "decoder_token_ids": "batch target_time < target_vocabulary",
}


@register_model(
    shape=TaskShape.ENCODER_DECODER,
    inputs=INPUTS,
    outputs={"logits": "batch target_time target_vocabulary"},
    streamable=False,
    references=("Cho et al. 2014, arXiv:1406.1078", "Sutskever, Vinyals & Le 2014, arXiv:1409.3215"),
    tiny={
        "source_vocabulary": 7,
        "target_vocabulary": 6,
        "encoder_units": (4,),
        "decoder_units": (3,),
        "embedding": 5,
    },
)
def encoder_decoder(
    *,
    source_vocabulary: VocabularySize,
    target_vocabulary: VocabularySize,
    cell: Cell = "lstm",
    encoder_units: Units = (256,),
    decoder_units: Units = (256,),
    bidirectional: bool = False,
    context: ContextPath = "both",
    embedding: PositiveInt = 128,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
) -> keras.Model:
    """Reads a sequence into one vector of fixed size, writes another sequence from it.

    Trains by teacher forcing: `decoder_token_ids` are a start token and the target without its last token.

    Equation:
        h_s = cell(E x_s, h_{s-1}), for each layer of the encoder;  c = h_S, S the last step that is no padding
        state: g_0 = tanh(V c + b), for each state of each layer of the decoder; otherwise g_0 = 0
        g_t = cell(F y_{t-1}, g_{t-1}); input: the lowest layer reads [F y_{t-1}, c]
        logits_t = W g_t + b, the scores of y_t

    Args:
        source_vocabulary: Number of token ids of the source; id 0 is padding and is skipped.
        target_vocabulary: Number of token ids of the target; id 0 is padding and is skipped.
        cell: The recurrent cell.
        encoder_units: Width of each recurrent layer of the encoder, from the input up.
        decoder_units: Width of each recurrent layer of the decoder, from the input up.
        bidirectional: Whether the encoder also reads the source backwards; c is then the last of both.
        context: How c comes in: beside each step's token, as the first state, or both.
        embedding: Size of the vectors that stand for tokens.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.

    Returns:
        A model from `encoder_token_ids` (batch, source_time) and `decoder_token_ids` (batch, target_time) to `logits`
        (batch, target_time, target_vocabulary). The decoder's mask travels to the logits.
    """
    # Inputs
    encoder_ids, source, _ = token_sequence("encoder", source_vocabulary, embedding)
    decoder_ids, x, decoder_mask = token_sequence("decoder", target_vocabulary, embedding)
    inputs = {"encoder_token_ids": encoder_ids, "decoder_token_ids": decoder_ids}

    # Body: (batch, source_time, embedding) -> (batch, width)
    rates: dict[str, Any] = {"dropout": dropout, "recurrent": recurrent_dropout}
    _, summary = encode(source, cell=cell, units=encoder_units, bidirectional=bidirectional, **rates)
    if context != "state":
        x = AppendContext(name="context")(x, summary)
    start = None if context == "input" else summary
    x = decode(x, decoder_mask, start, cell=cell, units=decoder_units, **rates)

    # Head: (batch, target_time, width) -> (batch, target_time, target_vocabulary)
    return scores_at_each_step(inputs, x, target_vocabulary, dropout=dropout, name="encoder_decoder")


@register_model(
    shape=TaskShape.ENCODER_DECODER,
    inputs=INPUTS,
    outputs={
        "logits": "batch target_time target_vocabulary",
        "attention": "batch target_time source_time if return_attention=True",
    },
    streamable=False,
    references=("Bahdanau, Cho & Bengio 2015, arXiv:1409.0473", "Luong, Pham & Manning 2015, arXiv:1508.04025"),
    tiny={
        "source_vocabulary": 7,
        "target_vocabulary": 6,
        "encoder_units": (4,),
        "decoder_units": (3,),
        "embedding": 5,
    },
)
def attention_encoder_decoder(
    *,
    source_vocabulary: VocabularySize,
    target_vocabulary: VocabularySize,
    cell: Cell = "lstm",
    encoder_units: Units = (256,),
    decoder_units: Units = (256,),
    bidirectional: bool = True,
    attention: Score = "additive",
    query: Query = "new",
    input_feeding: bool = False,
    return_attention: bool = False,
    embedding: PositiveInt = 128,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
) -> keras.Model:
    """Writes a sequence while looking at every state of the encoder, each step at the ones that matter to it.

    Trains by teacher forcing: `decoder_token_ids` are a start token and the target without its last token. With the new
    state as query and without input feeding the attention stands outside of the recurrence: all steps attend at once.

    Equation:
        m_s = cell(E x_s, m_{s-1}), for each layer of the encoder; bidirectional: of both directions side by side
        g_0 = tanh(V m_last + b), for each state of each layer of the decoder
        query new (Luong et al.): q_t = g_t,  g_t = cell(F y_{t-1}, g_{t-1})
        with input feeding: the lowest layer reads [F y_{t-1}, z_{t-1}], z_0 = 0
        query last (Bahdanau et al.): q_t = g_{t-1},  g_t = cell([F y_{t-1}, c_t], g_{t-1})
        e_ts = v . tanh(W_q q_t + W_k m_s), additive, or q_t . W_k m_s, multiplicative; q_t of the top layer
        a_t = softmax_s(e_ts) over the steps that are no padding;  c_t = sum_s a_ts m_s;  z_t = tanh(W_c [c_t, g_t])
        logits_t = W z_t + b, the scores of y_t

    Args:
        source_vocabulary: Number of token ids of the source; id 0 is padding and is skipped.
        target_vocabulary: Number of token ids of the target; id 0 is padding and is skipped.
        cell: The recurrent cell.
        encoder_units: Width of each recurrent layer of the encoder, from the input up.
        decoder_units: Width of each recurrent layer of the decoder, from the input up.
        bidirectional: Whether the encoder also reads the source backwards.
        attention: How a state of the decoder is compared with those of the encoder.
        query: Which state of the decoder looks: the new one, after the step, or the last one, before it.
        input_feeding: Whether the decoder reads its last attentional vector with the next token; for the new state.
        return_attention: Whether the weights a_ts are an output too.
        embedding: Size of the vectors that stand for tokens.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.

    Returns:
        A model from `encoder_token_ids` (batch, source_time) and `decoder_token_ids` (batch, target_time) to `logits`
        (batch, target_time, target_vocabulary) and, on request, `attention` (batch, target_time, source_time). The
        decoder's mask travels to the logits.

    Raises:
        ValueError: Input feeding where the last state looks: the decoder reads what it found already.
    """
    if input_feeding and query == "last":
        raise ValueError("input_feeding is for query='new'; with query='last' the decoder reads the context already")
    # Inputs
    encoder_ids, source, encoder_mask = token_sequence("encoder", source_vocabulary, embedding)
    decoder_ids, x, decoder_mask = token_sequence("decoder", target_vocabulary, embedding)
    inputs = {"encoder_token_ids": encoder_ids, "decoder_token_ids": decoder_ids}

    # Body: (batch, source_time, embedding) -> (batch, source_time, width), (batch, width)
    rates: dict[str, Any] = {"dropout": dropout, "recurrent": recurrent_dropout}
    memory, summary = encode(source, cell=cell, units=encoder_units, bidirectional=bidirectional, **rates)
    keys = keras.layers.Dense(decoder_units[-1], use_bias=False, name="attention_keys")(memory)
    # (batch, target_time, embedding) -> (batch, target_time, width), (batch, target_time, source_time)
    looked_at = (keys, memory, encoder_mask)
    decoder: dict[str, Any] = {"cell": cell, "units": decoder_units, **rates}
    if input_feeding or query == "last":
        how: dict[str, Any] = {"attention": attention, "query": query}
        x, weights = decode_attending(x, decoder_mask, summary, looked_at, **how, **decoder)
    else:
        x, weights = GlobalAttention(attention, name="attend")(decode(x, decoder_mask, summary, **decoder), *looked_at)

    # Head: (batch, target_time, width) -> (batch, target_time, target_vocabulary)
    logits = logits_head(sequence_dropout(x, dropout, name="dropout"), target_vocabulary)
    if not return_attention:
        return keras.Model(inputs, logits, name="attention_encoder_decoder")
    weights = keras.layers.Identity(dtype="float32", name="attention")(weights)
    return PartlyLabelledModel(inputs, {"logits": logits, "attention": weights}, name="attention_encoder_decoder")
