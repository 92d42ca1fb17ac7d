"""What a language model's report shows: where it was surprised, what it writes, how far its gradients flow."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from markupsafe import Markup

from recipes import judging, report
from recipes.data import Column, Data, Ragged
from recipes.language_data import TextRows
from recipes.teacher_forcing import perplexity
from recipes.vocabulary import UNKNOWN
from recipes.writing import Writer

if TYPE_CHECKING:
    from recipes.recipe import RecipeConfig

TEMPERATURES = (0.5, 0.8, 1.0)
SAMPLE: dict[str, int] = {"characters": 300, "words": 60}
EXCERPT: dict[str, int] = {"characters": 700, "words": 140}
DEEP = 8.0
"""Nats of surprise that get the full colour: a chance of 1 in 3,000."""
STEPS, ROWS = 100, 16
"""How far back the picture of the gradients looks, and over how many places of the text it is a mean."""

_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;max-width:46rem;text-align:left"


def surprise(nll: Column, split: TextRows) -> report.Section:
    """Shows a piece of the test part, each token on a ground as deep as its surprise.

    Args:
        nll: -log p of each target.
        split: The rows.

    Returns:
        A section.
    """
    row, count = len(split) // 2, EXCERPT[split.tokenisation]
    glue = "" if split.tokenisation == "characters" else " "
    pieces = []
    for token, nats in zip(split.targets[row][:count], nll[row][:count], strict=True):
        depth = round(70 * min(1.0, float(nats) / DEEP))
        pieces.append(
            Markup('<span style="background:color-mix(in srgb,var(--second) {}%,transparent)" title="{}">{}</span>')
            .format(depth, f"{float(nats):.2f} nats", split.vocabulary[token])
        )  # fmt: skip
    html = Markup('<div style="{}">{}</div>').format(_TEXT, Markup(glue).join(pieces))
    unknown = float((_values(split.targets) == UNKNOWN).mean())
    caption = (
        f"From the middle of the test part: the deeper the ground, the less likely the model held what came, "
        f"-log p, full at {DEEP:g} nats. {unknown:.2%} of the test part's {split.tokenisation} are not in the "
        "vocabulary, they count as <unk>."
    )
    return report.Section("Surprise", html, caption)


def samples(model: keras.Model, data: Data, prompts: Sequence[str]) -> report.Section:
    """Shows what a model writes: from two prompts, at three temperatures.

    Args:
        model: Trained.
        data: Its metadata say what the tokens are.
        prompts: Two; empty: the beginnings of two lines of the test part.

    Returns:
        A section.
    """
    rows: Any = data.test
    prompts = prompts or rows.prompts
    try:
        writer = Writer(model, data.metadata)
    except ValueError as error:
        return report.Section("Samples", Markup("<p>{}</p>").format(str(error)))
    cells = [(f"{heat:g}", *(_sample(writer, prompt, heat, rows) for prompt in prompts)) for heat in TEMPERATURES]
    html = report.table(("temperature", *(f"after {prompt!r}" for prompt in prompts)), cells)
    return report.Section("Samples", html, "Drawn with seed 0; a lower temperature makes likely tokens likelier.")


def gradient_flow(model: keras.Model, untrained: keras.Model, data: Data, window: int) -> report.Section:
    """Draws how much of the last step's loss reaches the states before it.

    Args:
        model: Trained.
        untrained: The same before training, for comparison.
        data: Gives the text.
        window: How far back gradients flowed in training.

    Returns:
        A section.
    """
    rows: Any = data.test
    ids = rows.inputs["token_ids"].values
    steps = min(STEPS, len(ids) - 1)
    starts = np.linspace(0, len(ids) - steps - 1, ROWS, dtype=int)[:, None] + np.arange(steps)
    x, y = ids[starts], rows.targets.values[starts]
    try:
        curves = {"trained": _norms(model, x, y), "untrained": _norms(untrained, x, y)}
    except ValueError as error:
        return report.Section("Gradient flow", Markup("<p>{}</p>").format(str(error)))
    title = "Gradient flow over time"
    caption = (
        "The norm of the derivative of the last step's loss by the hidden state of each step before it, mean over "
        f"{ROWS} places of the test part, on a logarithmic scale: a straight line is a gradient that vanishes (Bengio, "
        f"Simard & Frasconi 1994). Training cut gradients off after {window} steps; states went on."
    )
    return report.Section(title, _flow_figure(curves, steps, window, title), caption)


def memorised(recipe: "RecipeConfig", model: keras.Model, data: Data) -> report.Section:
    """Holds the test part against as much of the text that the weights were fitted to.

    Args:
        recipe: Makes the model's outputs small.
        model: Trained.
        data: Its three parts.

    Returns:
        A section.
    """
    rows: Any = data.test
    count = len(rows.targets.values)
    runtime = judging.keras_predict(model)
    table = []
    for part in ("train", "validation", "test"):
        stream: Any = getattr(data, part)
        whole = rows if part == "test" else _beginning(stream, rows, count)
        nats = float(np.log(perplexity(judging.outputs_on(recipe, runtime, whole)["nll"])))
        table.append((part, len(whole.targets.values), nats, float(np.exp(nats))))
    unit = rows.tokenisation[:-1]
    html = report.table(("part", f"{unit}s read", f"nats per {unit}", "perplexity"), table)
    caption = "With the final weights, read in rows as the test part is: the gap between the first two is overfitting."
    return report.Section("What it was taught and what it has not seen", html, caption)


def _beginning(stream: Any, rows: TextRows, count: int) -> TextRows:
    ids = np.append(stream.inputs["token_ids"][:count], stream.targets[min(count, len(stream)) - 1])
    return TextRows.of(ids, rows.vocabulary, rows.tokenisation)


def _values(column: Column) -> np.ndarray:
    return column.values if isinstance(column, Ragged) else column


def _sample(writer: Writer, prompt: str, temperature: float, rows: TextRows) -> Markup:
    text = writer(prompt, temperature=temperature, max_tokens=SAMPLE[rows.tokenisation])
    if rows.tokenisation == "words":
        text = text.replace(" \n", "\n").replace("\n ", "\n")
    text = re.sub(r"\n{3,}", "\n\n", text)  # a model that was hardly trained writes little else
    return Markup('<div style="{}">{}</div>').format(_TEXT, text)


def _norms(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    from zoo.training.gradient_flow import state_gradients

    # A copy: the model itself stays as it was trained, without a loss of its own.
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"))
    last = np.zeros(y.shape, "float32")
    last[:, -1] = 1.0
    gradients = state_gradients(copy, x, y, last)
    return {name: np.linalg.norm(value, axis=-1).mean(axis=0) for name, value in gradients.items()}


def _flow_figure(curves: Mapping[str, Mapping[str, np.ndarray]], steps: int, window: int, label: str) -> Markup:
    figure, axes = report.themed_axes(7.0, 3.2)
    for kind, colour in (("untrained", "muted"), ("trained", "accent")):
        for place, (layer, norms) in enumerate(curves[kind].items()):
            style = ("-", "--", ":", "-.")[place % 4]
            # Zeros, where nothing arrives any more, have no place on a logarithmic scale.
            seen = np.where(norms > 0, norms, np.nan)
            back = steps - 1 - np.array(report.ticks(len(norms), steps))
            axes.plot(back, seen, color=report.LIGHT[colour], linestyle=style, linewidth=2, label=f"{layer}, {kind}")
    if window < steps:
        axes.axvline(window, color=report.LIGHT["second"], linestyle=":", linewidth=1.5, label="window of training")
    axes.set(yscale="log", xlabel="steps before the last one", ylabel="norm of the gradient")
    axes.invert_xaxis()
    axes.legend(frameon=False, fontsize=9, labelcolor=report.LIGHT["ink"])
    return report.inline_svg(figure, label)
