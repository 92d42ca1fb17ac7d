"""Networks with an explicit memory: what they know stands apart from what they compute, and is read by attention."""

import keras

from zoo.blocks import SEQUENCE, logits_head, sequence_inputs
from zoo.fields import NaturalNumber, PositiveInt, VocabularySize
from zoo.layers.attention_memory_cell import AttentionMemoryCell
from zoo.layers.feature_slice import FeatureSlice
from zoo.layers.head_weights import HeadWeights
from zoo.layers.memory_hops import MemoryHops, Tying
from zoo.layers.ntm_cell import Controller, NTMCell
from zoo.layers.partly_labelled_model import PartlyLabelledModel
from zoo.registry import register_model
from zoo.specs import TaskShape


@register_model(
    shape=TaskShape.MANY_TO_ONE,
    inputs={"story": "batch sentences words < vocabulary", "question": "batch question_words < vocabulary"},
    outputs={"logits": "batch classes", "attention": "batch sentences hops if return_weights=True"},
    streamable=False,
    references=("Sukhbaatar et al. 2015, arXiv:1503.08895", "Weston, Chopra & Bordes 2015, arXiv:1410.3916"),
    tiny={"vocabulary": 7, "classes": 3, "embedding": 4, "hops": 2},
)
def memory_network(
    *,
    vocabulary: VocabularySize,
    classes: PositiveInt,
    embedding: PositiveInt = 20,
    hops: PositiveInt = 3,
    memory_size: PositiveInt = 50,
    position_encoding: bool = True,
    tying: Tying = "adjacent",
    return_weights: bool = False,
) -> keras.Model:
    """Answers a question about a story by reading the story's sentences several times, end to end trained.

    Equation, for hop k with the embeddings A_k, C_k, and T(i) the age of sentence i, 0 the newest:
        m_i = sum_j l_j * A_k[x_ij] + T^A_k[age(i)],  c_i = sum_j l_j * C_k[x_ij] + T^C_k[age(i)]
        p = softmax_i(u_k m_i) over the sentences that are there,  o = sum_i p_i c_i
        adjacent: u_{k+1} = u_k + o, A_{k+1} = C_k, u_1 = sum_j l_j * A_1[q_j];  layer_wise: u_{k+1} = u_k H + o
        position encoding: l_jd = (1 - j/J) - (d/D) (1 - 2 j/J);  else l = 1
        logits = u V + b

    Args:
        vocabulary: Number of token ids; id 0 is padding, of words as of whole sentences.
        classes: Number of answers, such as the vocabulary for one word.
        embedding: Width of the memory.
        hops: How often the memory is read.
        memory_size: The most sentences that are remembered; older ones are forgotten.
        position_encoding: Whether a word's weight depends on its place in the sentence.
        tying: Which embeddings the hops share: each hop's output is the next one's input, or all hops have the same.
        return_weights: Whether to give the weights of the sentences in each hop too.

    Returns:
        A model from `story` (batch, sentences, words) and `question` (batch, question_words) to `logits`
        (batch, classes), and with `return_weights` `attention` (batch, sentences, hops).
    """
    # Inputs
    story = keras.Input((None, None), dtype="int32", name="story")
    question = keras.Input((None,), dtype="int32", name="question")

    # Body: (batch, sentences, words) and (batch, question_words) -> (batch, embedding)
    layer = MemoryHops(vocabulary, embedding, hops, memory_size, position_encoding, tying, name="memory")
    u, weights = layer([story, question])

    # Head: (batch, embedding) -> (batch, classes)
    inputs, logits = {"story": story, "question": question}, logits_head(u, classes)
    if not return_weights:
        return keras.Model(inputs, logits, name="memory_network")
    attention = keras.layers.Identity(dtype="float32", name="attention")(weights)
    return PartlyLabelledModel(inputs, {"logits": logits, "attention": attention}, name="memory_network")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={
        "logits": "batch time classes",
        "read_weights": "batch time read_heads slots if return_weights=True",
        "write_weights": "batch time write_heads slots if return_weights=True",
    },
    streamable=True,
    references=("Graves, Wayne & Danihelka 2014, arXiv:1410.5401", "Collier & Beel 2018, arXiv:1807.08518"),
    tiny={"features": 4, "classes": 2, "units": 5, "slots": 6, "width": 3},
)
def neural_turing_machine(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    controller: Controller = "lstm",
    units: PositiveInt = 100,
    slots: PositiveInt = 128,
    width: PositiveInt = 20,
    read_heads: PositiveInt = 1,
    write_heads: PositiveInt = 1,
    shift: NaturalNumber = 1,
    return_weights: bool = False,
    embedding: PositiveInt = 64,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads and writes a memory by attention, to content and along locations, and gives scores at each step.

    Equation, memory M_t (slots, width), for each head with its weights w_t over the slots:
        h_t = controller([x_t; r_{t-1}], h_{t-1});  k, beta, g, s, gamma, e, a from h_t
        w^c = softmax_i(beta cos(k, M_{t-1}[i]));  w^g = g w^c + (1 - g) w_{t-1}
        w'_i = sum_j w^g_j s_{i-j};  w_t = w'^gamma / sum w'^gamma
        M_t = M_{t-1} * prod_heads (1 - w_t e^T) + sum_heads w_t a^T;  r_t = w_t^T M_t
        logits_t = [h_t; r_t] W + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of scores at each step: classes, or bits.
        controller: What drives the heads: an LSTM, or a layer that remembers in the memory alone.
        units: Width of the controller.
        slots: Rows of the memory, at least 2 shift + 1.
        width: Columns of the memory.
        read_heads: Number of heads that read.
        write_heads: Number of heads that write.
        shift: The furthest that a head moves in one step.
        return_weights: Whether to give where the heads looked too.
        embedding: Size of the vector that stands for a token.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes),
        and with `return_weights` `read_weights` (batch, time, read_heads, slots) and `write_weights` likewise.

    Raises:
        ValueError: Both or neither of features and vocabulary are given, or too few slots for the shift.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, units + read_heads x width), perhaps with the weights beside them
    cell = NTMCell(units, slots, width, read_heads, write_heads, controller, shift, return_weights, name="ntm_cell")
    x = keras.layers.RNN(cell, return_sequences=True, dtype="float32", name="machine")(x)

    # Head: (batch, time, units + read_heads x width) -> (batch, time, classes)
    size = units + read_heads * width
    if not return_weights:
        return keras.Model(inputs, logits_head(x, classes), name="neural_turing_machine")
    read = HeadWeights(size, read_heads, slots, dtype="float32", name="read_weights")(x)
    write = HeadWeights(size + read_heads * slots, write_heads, slots, dtype="float32", name="write_weights")(x)
    logits = logits_head(FeatureSlice(0, size, dtype="float32", name="state_and_reads")(x), classes)
    outputs = {"logits": logits, "read_weights": read, "write_weights": write}
    return PartlyLabelledModel(inputs, outputs, name="neural_turing_machine")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes", "attention": "batch time slots if return_weights=True"},
    streamable=True,
    references=(
        "Cheng, Dong & Lapata 2016, arXiv:1601.06733",
        "Daniluk et al. 2017, arXiv:1702.04521",
        "Goodfellow, Bengio & Courville 2016, Deep Learning, 10.12",
    ),
    tiny={"features": 4, "classes": 2, "units": 3, "slots": 4},
)
def attention_memory(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 64,
    slots: PositiveInt = 10,
    return_weights: bool = False,
    embedding: PositiveInt = 64,
    mask_value: float | None = None,
) -> keras.Model:
    """Keeps its last states in a memory of its own and reads them by attention, as an LSTM that can look back.

    Equation, M the last `slots` states:
        h_t, c_t = LSTM([x_t; r_{t-1}], h_{t-1}, c_{t-1})
        a_t = softmax_i(v tanh(M_i W_m + h_t W_h)) over the slots that are filled;  r_t = sum_i a_ti M_i
        logits_t = [h_t; r_t] W + b;  then M gets h_t, and loses its oldest

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        units: Width of the state.
        slots: How many states are remembered.
        return_weights: Whether to give where the model looked too, the newest state last.
        embedding: Size of the vector that stands for a token.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes),
        and with `return_weights` `attention` (batch, time, slots).

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, 2 units), perhaps with the weights beside them
    cell = AttentionMemoryCell(units, slots, return_weights, name="memory_cell")
    x = keras.layers.RNN(cell, return_sequences=True, name="memory")(x)

    # Head: (batch, time, 2 units) -> (batch, time, classes)
    if not return_weights:
        return keras.Model(inputs, logits_head(x, classes), name="attention_memory")
    attention = FeatureSlice(2 * units, 2 * units + slots, dtype="float32", name="attention")(x)
    logits = logits_head(FeatureSlice(0, 2 * units, name="state_and_read")(x), classes)
    return PartlyLabelledModel(inputs, {"logits": logits, "attention": attention}, name="attention_memory")
