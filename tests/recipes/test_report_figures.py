"""The report's figures say what their numbers say: curves, confusion matrix, gallery."""

import base64
import io
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.image import imread

from recipes import report
from recipes.report_figures import LIGHT
from tests.recipes.pages import Page, history


def test_metrics_are_paired_and_the_best_epoch_is_marked() -> None:
    page = Page(report.learning_curves(history(12)))
    titles = [text for text in page.texts if text in {"loss", "accuracy", "learning rate"}]
    assert titles == ["loss", "accuracy", "learning rate"]
    assert "best epoch: 7" in page.text
    assert "training 0.2857, validation 0.5" in page.text  # 2 / 7 and the least val_loss
    drawings = " ".join(page.values("style"))
    assert drawings.count(f"stroke: var(--accent, {LIGHT['accent']})") >= 2
    assert LIGHT["ink"] not in re.sub(r"var\([^)]*\)", "", drawings)


def test_the_curve_goes_through_the_points() -> None:
    losses = [2.0, 1.0, 0.5, 0.25]
    svg = ET.fromstring(
        re.search(r"<svg.*?</svg>", report.learning_curves([{"loss": loss} for loss in losses]), re.S)[0]
    )
    curve = next(
        p for p in svg.iter("path") if f"var(--second, {LIGHT['second']})" in p.get("style", "") and "L" in p.get("d")
    )
    points = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", curve.get("d")), float)
    assert len(points) == 4
    np.testing.assert_allclose(np.diff(points[:, 0]), np.diff(points[:, 0])[0], rtol=1e-4)
    heights = points[0, 1] - points[:, 1]
    np.testing.assert_allclose(heights / heights[-1], (2.0 - np.array(losses)) / 1.75, atol=1e-3)


def test_another_rule_for_the_best_epoch_can_be_told() -> None:
    assert "best epoch: 3" in report.learning_curves(history(5), best_epoch=3)
    with pytest.raises(ValueError, match="best_epoch=9 is not among the epochs 1 to 5"):
        report.learning_curves(history(5), best_epoch=9)


def test_curves_of_one_epoch_of_none_and_without_validation() -> None:
    one = Page(report.learning_curves(history(1)))
    assert one.count("svg") == 3
    assert "best epoch: 1" in one.text
    assert Page(report.learning_curves([])).text.startswith("No epoch was finished")
    alone = Page(report.learning_curves(history(4, validated=False)))
    assert "validation" not in alone.text
    assert "best epoch: 4" in alone.text
    assert report.learning_curves([{"epoch": 1.0, "f1": 0.5}]).count("<svg") == 1


def test_a_run_that_diverged_says_so() -> None:
    rows = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": math.inf}, {"epoch": 3, "loss": math.nan}]
    text = Page(report.learning_curves(rows)).text
    assert "not finite in 2 of 3 epochs" in text
    assert "best epoch: 1" in text
    everywhere = Page(report.learning_curves([{"epoch": 1, "loss": math.nan, "mae": None}])).text
    assert "best" not in everywhere
    assert "not finite in 1 of 1" in everywhere


def test_letters_that_matplotlib_lacks_stay_text_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    figure, axes = report.themed_axes()
    axes.set_title("注意 🙂")
    assert "注意 🙂" in report.inline_svg(figure, "attention")
    assert not recwarn.list


def test_figures_repeat_and_stay_apart() -> None:
    first, second = report.learning_curves(history(6)), report.learning_curves(history(6))
    assert first == second
    other = report.learning_curves(history(7))
    assert not set(Page(first).values("id")) & set(Page(other).values("id"))
    page = Page(first)
    assert len(page.values("id")) == len(set(page.values("id")))
    assert not re.search(r"\b20\d\d-\d\d-\d\d", first)


def test_confusion_matrix_shows_counts_recall_and_the_worst_confusion() -> None:
    counts = np.array([[8, 2, 0], [1, 9, 0], [0, 4, 6]])
    root = ET.fromstring(f"<div>{report.confusion_matrix(counts, ['a', 'b', 'c'])}</div>")
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    assert rows[0] == ["", "a", "b", "c", "recall"]
    assert [[int(cell) for cell in row[1:4]] for row in rows[1:]] == counts.tolist()
    assert [row[4] for row in rows[1:]] == ["80.0%", "90.0%", "60.0%"]
    kinds = [[cell.get("class") for cell in row.findall("td")][:3] for row in list(root.iter("tr"))[1:]]
    assert kinds == [["hit", "miss", "none"], ["miss", "hit", "none"], ["none", "miss", "hit"]]
    assert "7 of 30 wrong. Most frequent: c taken for b, 4 times." in "".join(root.itertext())


def test_confusion_matrix_of_one_class_of_an_absent_class_and_of_many() -> None:
    assert "All 5 right" in report.confusion_matrix(np.array([[5]]), ["only"])
    absent = Page(report.confusion_matrix(np.array([[3, 0], [0, 0]]), ["a", "b"]))
    assert "—" in absent.texts
    many = Page(report.confusion_matrix(np.eye(40, dtype=int), [f"word {k}" for k in range(40)]))
    assert many.count("td") == 1 + 40 * 41
    with pytest.raises(ValueError, match=r"shape \(2, 3\) does not fit 2 labels"):
        report.confusion_matrix(np.zeros((2, 3)), ["a", "b"])


def test_gallery_puts_mistakes_first_and_counts_them_all() -> None:
    truth = [str(k % 10) for k in range(50)]
    predicted = list(truth)
    for wrong in (4, 17, 33):
        predicted[wrong] = "x"
    page = Page(report.gallery(np.zeros((50, 4, 4)), truth, predicted))
    kinds = [value for value in page.values("class") if value.startswith("tile")]
    assert kinds == ["tile wrong"] * 3 + ["tile right"] * 9
    assert page.values("alt")[:3] == [f"mistake: predicted x, truth {k}" for k in ("4", "7", "3")]
    assert "3 mistakes among 50 examples; 12 shown" in page.text


@pytest.mark.parametrize(
    ("total", "wrong", "says"), [(3, 0, "No mistakes among 3"), (30, 30, "30 mistakes"), (0, 0, "No")]
)
def test_gallery_of_few_of_none_and_of_mistakes_alone(total: int, wrong: int, says: str) -> None:
    page = Page(report.gallery(np.ones((total, 2, 2)), ["a"] * total, ["b"] * wrong + ["a"] * (total - wrong)))
    assert page.count("img") == min(total, 12)
    assert page.text.startswith(says)


def test_gallery_pictures_are_the_images() -> None:
    images = np.random.default_rng(1).random((2, 5, 7))
    sources = Page(report.gallery(images, ["a", "b"], ["a", "b"])).values("src")
    span = images.max() - images.min()
    for source, image in zip(sources, images, strict=True):
        drawn = imread(io.BytesIO(base64.b64decode(source.split(",")[1])))[..., 0]
        np.testing.assert_allclose(drawn, 1 - (image - images.min()) / span, atol=0.01)


def test_gallery_refuses_what_does_not_fit_together() -> None:
    with pytest.raises(ValueError, match=r"images \(3, 2, 2\), 3 true and 2 predicted"):
        report.gallery(np.zeros((3, 2, 2)), ["a"] * 3, ["a"] * 2)
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        report.gallery(np.zeros((3, 2)), ["a"] * 3, ["a"] * 3)


@pytest.mark.parametrize(("steps", "period"), [(100, 8), (100, 1), (7, 2), (5, 8), (99, 3)])
def test_ticks_are_the_steps_of_every_nth(steps: int, period: int) -> None:
    expected = range(0, steps, period)
    found = report.ticks(len(expected), steps)
    assert len(found) == len(expected)
    assert period >= steps or found == expected
