"""How a classifier did, as HTML: which classes it confuses, and examples with its predictions."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recipes.report_figures import readable

if TYPE_CHECKING:  # NumPy and Matplotlib load inside the functions: importing `recipes` must stay quick.
    import numpy as np

MOST_CLASSES = 60
"""So many rows and columns a confusion matrix shows at most."""


def confusion_matrix(matrix: np.ndarray, labels: Sequence[str]) -> Markup:
    """How often each class was taken for each: a table, tinted by its share of the row, with each class's recall.

    Args:
        matrix: Counts, (classes, classes): rows are the truth, columns the prediction.
        labels: The classes' names, in the matrix's order.

    Returns:
        The table and a sentence that names the most frequent confusion.

    Raises:
        ValueError: If the matrix is not square, or the labels are not as many as its rows.
    """
    import numpy as np

    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)):
        raise ValueError(f"confusion matrix of shape {counts.shape} does not fit {len(labels)} labels; it must be "
                         f"({len(labels)}, {len(labels)})")  # fmt: skip
    # The page would grow with their square.
    shown = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MOST_CLASSES])
    heads = Markup("").join(Markup('<th scope="col"><span>{}</span></th>').format(labels[index]) for index in shown)
    body = Markup("").join(_confusion_row(index, counts[index], labels[index], shown) for index in shown)
    caption = "Rows are the truth, columns the prediction."
    if len(shown) < len(labels):
        caption += f" Of the {len(labels):,} classes the {len(shown)} most frequent."
    dense = " dense" if len(shown) > 16 else ""
    return Markup(
        '<div class="scroll" role="region" aria-label="Confusion matrix" tabindex="0"><table class="confusion{}">'
        "<caption>{}</caption><thead><tr><td></td>{}"
        '<th scope="col" class="recall"><span>recall</span></th></tr></thead><tbody>{}</tbody></table></div>'
        '<p class="note">{}</p>'
    ).format(dense, caption, heads, body, _worst_confusion(counts, labels))


def _confusion_row(index: int, row: np.ndarray, label: str, shown: np.ndarray) -> Markup:
    total = row.sum()
    cells = []
    for column in shown:
        count = row[column]
        # The root lifts one mistake in a hundred out of the paper's colour.
        share = math.sqrt(count / total) if total else 0.0
        kind = "hit" if column == index else "miss" if count else "none"
        cells.append(Markup('<td class="{}" style="--share:{:.2f}">{}</td>').format(kind, share, readable(count)))
    recall = f"{row[index] / total:.1%}" if total else "—"
    return Markup('<tr><th scope="row">{}</th>{}<td class="recall">{}</td></tr>').format(
        label, Markup("").join(cells), recall
    )


def _worst_confusion(counts: np.ndarray, labels: Sequence[str]) -> str:
    import numpy as np

    mistakes = counts - np.diag(np.diag(counts))
    if not mistakes.any():
        return f"All {counts.sum()} right: no class was taken for another."
    truth, predicted = divmod(int(mistakes.argmax()), len(labels))
    often = mistakes.max()
    times = "once" if often == 1 else f"{often} times"
    return (f"{mistakes.sum()} of {counts.sum()} wrong. Most frequent: {labels[truth]} taken for {labels[predicted]}, "
            f"{times}.")  # fmt: skip


def gallery(images: np.ndarray, truth: Sequence[str], predicted: Sequence[str], count: int = 12) -> Markup:
    """Some examples with prediction and truth, the mistakes first and marked.

    Args:
        images: Grey images, (n, rows, cols), of any range; high values are drawn dark, on one scale for all.
        truth: The right label of each image.
        predicted: The model's label for each image.
        count: How many to show at most.

    Returns:
        A sentence that counts the mistakes among all images, and the grid of pictures.

    Raises:
        ValueError: If images and labels differ in number, or `images` has no rows and columns.
    """
    import numpy as np

    images = np.asarray(images)
    if images.ndim != 3 or not len(images) == len(truth) == len(predicted):
        raise ValueError(f"gallery needs images (n, rows, cols) and n labels; got images {images.shape}, "
                         f"{len(truth)} true and {len(predicted)} predicted labels")  # fmt: skip
    wrong = [index for index, (true, guess) in enumerate(zip(truth, predicted, strict=True)) if true != guess]
    right = sorted(set(range(len(images))) - set(wrong))
    shown = _spread(wrong, count)
    shown += _spread(right, count - len(shown))
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 1.0)
    tiles = Markup("").join(_tile(images[index], truth[index], predicted[index], (low, high)) for index in shown)
    mistakes = "1 mistake" if len(wrong) == 1 else f"{len(wrong) or 'No'} mistakes"
    return Markup('<p class="note">{} among {} examples; {} shown.</p><div class="gallery">{}</div>').format(
        mistakes, len(images), len(shown), tiles
    )


def _spread(indices: Sequence[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly spread: neighbours in a data set are often alike."""
    if len(indices) <= count:
        return list(indices)
    return [indices[position * len(indices) // count] for position in range(count)]


def _tile(image: np.ndarray, true: str, guess: str, limits: tuple[float, float]) -> Markup:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, image, vmin=limits[0], vmax=limits[1], cmap="gray_r", format="png", metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    kind, mark, word = ("right", "✓", "right") if true == guess else ("wrong", "✗", "mistake")
    return Markup(
        '<figure class="tile {}"><img src="data:image/png;base64,{}" alt="{}: predicted {}, truth {}">'
        '<figcaption><b><i aria-hidden="true">{}</i> {}</b><span>truth {}</span></figcaption></figure>'
    ).format(kind, data, word, guess, true, mark, guess, true)
