"""Texts for a report, as HTML: words on grounds of different depth, words with their tags, excerpts."""

from collections.abc import Sequence

from markupsafe import Markup

EXCERPT = 240
"""Characters of a text that a table shows."""

_LINE = "display:block;line-height:2;max-width:44rem;overflow-wrap:anywhere"
_WORD = "padding:.15em .25em;border-radius:.25em;-webkit-box-decoration-break:clone;box-decoration-break:clone"
_STACK = "display:grid;gap:1.75rem"


def verdict_mark(right: bool) -> Markup:
    """A tick or a cross, in words too."""
    kind, sign, word = ("good", "✓", "right") if right else ("bad", "✗", "wrong")
    return Markup('<span class="badge {}">{} {}</span>').format(kind, sign, word)


def excerpt(text: str) -> str:
    """The end of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else f"… {line[-EXCERPT:]}"


def stack(figures: Sequence[Markup]) -> Markup:
    """Fragments below each other, with room between them."""
    return Markup('<div style="{}">{}</div>').format(_STACK, Markup("").join(figures))


def highlighted(tokens: Sequence[str], weights: Sequence[float], heading: str, right: bool) -> Markup:
    """A text whose words stand on a ground as deep as their weight.

    Args:
        tokens: The text as the model read it.
        weights: One for each token, at least 0; the largest gets the full colour.
        heading: What the model made of the text.
        right: Whether that is so.

    Returns:
        A figure; each word's weight shows where the pointer rests on it.

    Raises:
        ValueError: Tokens and weights differ in number.
    """
    if len(tokens) != len(weights):
        raise ValueError(f"highlighted needs a weight for each token; got {len(weights)} for {len(tokens)}")
    most = max((float(weight) for weight in weights), default=0.0) or 1.0
    words = Markup(" ").join(
        Markup('<span style="{};background:color-mix(in srgb,var(--accent) {:.0f}%,transparent)" title="{}">{}</span>')
        .format(_WORD, 60 * float(weight) / most, f"{float(weight):.1%}", token)
        for token, weight in zip(tokens, weights, strict=True)
    )  # fmt: skip
    return _figure(heading, right, words)


def tagged(words: Sequence[str], truth: Sequence[str], named: Sequence[str], heading: str) -> Markup:
    """A sentence with each word's tag; where the model was wrong, its tag struck out beside the true one.

    Args:
        words: The sentence.
        truth: The true tag of each word.
        named: The tag that the model named.
        heading: What to say of the sentence.

    Returns:
        A figure.
    """
    parts = []
    for word, true, guess in zip(words, truth, named, strict=True):
        ground = "" if true == guess else ";background:color-mix(in srgb,var(--bad) 22%,transparent)"
        wrong = "" if true == guess else Markup('<s style="color:var(--bad)">{}</s> ').format(guess)
        parts.append(
            Markup('<span style="{}{}">{} <small style="color:var(--muted)">{}{}</small></span>').format(
                _WORD, ground, word, wrong, true
            )
        )
    return _figure(heading, list(truth) == list(named), Markup(" ").join(parts))


def _figure(heading: str, right: bool, content: Markup) -> Markup:
    return Markup("<figure><figcaption>{} {}</figcaption><div style='{}'>{}</div></figure>").format(
        verdict_mark(right), heading, _LINE, content
    )
