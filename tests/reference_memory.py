"""Networks with a memory in NumPy, float64, written from the papers, one sample at a time."""

import numpy as np

from tests.reference import lstm_step

Array = np.ndarray


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def sentence(ids: Array, table: Array, position: bool) -> Array:
    """Sukhbaatar et al. 2015, section 4.1: words in their order, padding left out."""
    words = [word for word in ids if word]
    size, total = table.shape[1], np.zeros(table.shape[1])
    for j, word in enumerate(words, start=1):
        k = np.arange(1, size + 1)
        weight = (1 - j / len(words)) - (k / size) * (1 - 2 * j / len(words)) if position else 1.0
        total = total + weight * table[word]
    return total


def memory_network(
    story: Array, question: Array, weights: dict[str, Array], hops: int, memory_size: int, position: bool, tying: str
) -> tuple[Array, Array]:
    """-> (u after the last hop, the sentences' weights in each hop (sentences, hops))."""
    present = [i for i in range(len(story)) if story[i].any()][-memory_size:]
    p = np.zeros((len(story), hops))
    first = weights["question_words"] if tying == "layer_wise" else weights["words_0"]
    u = sentence(question, first, position)
    for hop in range(hops):
        a, c = (hop, hop + 1) if tying == "adjacent" else (0, 1)
        inputs, outputs = (
            np.array(
                [
                    sentence(story[i], weights[f"words_{table}"], position)
                    + weights[f"ages_{table}"][len(present) - 1 - place]
                    for place, i in enumerate(present)
                ]
            )
            for table in (a, c)
        )
        o = np.zeros_like(u)
        if present:
            p[present, hop] = softmax(inputs @ u)
            o = p[present, hop] @ outputs
        u = o + (u if tying == "adjacent" else u @ weights["between_hops"])
    return u, p


def address(memory: Array, before: Array, k: Array, beta: float, g: float, s: Array, gamma: float) -> Array:
    """Graves et al. 2014, equations 5-9, one head."""
    slots, reach = len(memory), len(s) // 2
    norms = np.linalg.norm(memory, axis=1) * np.linalg.norm(k)
    match = memory @ k / np.maximum(norms, 1e-12)
    mixed = g * softmax(beta * match) + (1 - g) * before
    shifted = np.zeros(slots)
    for i in range(slots):
        for j in range(-reach, reach + 1):
            shifted[i] += mixed[(i - j) % slots] * s[j + reach]
    return shifted**gamma / (shifted**gamma).sum()


def turing_machine(
    x: Array,
    controller: list[Array],
    heads: list[Array],
    slots: int,
    width: int,
    readers: int,
    writers: int,
    shift: int,
) -> tuple[Array, Array]:
    """One sequence (time, features) -> (h and reads, weights of all heads (time, heads, slots))."""
    kernel, bias = heads
    count, units = readers + writers, kernel.shape[0]
    memory, reads = np.zeros((slots, width)), np.zeros(readers * width)
    weights = np.tile(np.eye(slots)[0], (count, 1))
    h = c = np.zeros(units)
    outputs, looked = [], []
    for x_t in x:
        below = np.concatenate([x_t, reads])
        if len(controller) == 3:
            h, c = lstm_step(below, (h, c), *controller)
        else:
            h = np.tanh(below @ controller[0] + controller[1])
        raw, parts = h @ kernel + bias, []
        for size in (width, 1, 1, 2 * shift + 1, 1):
            parts.append(raw[: count * size].reshape(count, size))
            raw = raw[count * size :]
        erase, add = raw.reshape(2, writers, width)
        k, beta, g, s, gamma = parts
        weights = np.array(
            [
                address(
                    memory,
                    weights[i],
                    np.tanh(k[i]),
                    float(softplus(beta[i])[0]),
                    float(sigmoid(g[i])[0]),
                    softmax(s[i]),
                    1 + float(softplus(gamma[i])[0]),
                )
                for i in range(count)
            ]
        )
        for i in range(writers):
            memory = memory * (1 - np.outer(weights[readers + i], sigmoid(erase[i])))
        for i in range(writers):
            memory = memory + np.outer(weights[readers + i], np.tanh(add[i]))
        reads = (weights[:readers] @ memory).reshape(-1)
        outputs.append(np.concatenate([h, reads]))
        looked.append(weights)
    return np.array(outputs), np.array(looked)


def attention_memory(x: Array, lstm: list[Array], attention: list[Array], slots: int) -> tuple[Array, Array]:
    """One sequence -> (h and read (time, 2 units), attention (time, slots), the newest state last)."""
    w_m, w_h, query = attention
    units = len(w_m)
    h = c = r = np.zeros(units)
    past: list[Array] = []
    outputs, looked = [], []
    for x_t in x:
        h, c = lstm_step(np.concatenate([x_t, r]), (h, c), *lstm)
        a, r = np.zeros(slots), np.zeros(units)
        if kept := past[-slots:]:
            a[-len(kept) :] = softmax(np.array([(np.tanh(m @ w_m + h @ w_h) @ query)[0] for m in kept]))
            r = a[-len(kept) :] @ np.array(kept)
        past.append(h)
        outputs.append(np.concatenate([h, r]))
        looked.append(a)
    return np.array(outputs), np.array(looked)
