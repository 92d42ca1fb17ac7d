"""The report page: whole, self-contained, escaped, legible; its tables."""

import errno
import importlib.resources
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import keras
import numpy as np
import pytest

from recipes import report
from recipes.errors import RecipeError
from recipes.report_figures import DARK, LIGHT, THEME
from tests.recipes.pages import Page, chain, history

EVIL = "<script>alert(\"1\")</script> & 'x' {{ 1 }}"


def artifact(**changes: object) -> dict[str, object]:
    row = {
        "format": "LiteRT", "file": "exports/digits.tflite", "bytes": 571264, "load_ms": 1.25,
        "latency_ms_median": 0.0912, "latency_ms_p95": 0.1034, "max_abs_error": 2.384e-7, "tolerance": 1e-5,
        "passed": True, "metrics": {"accuracy": 0.9806},
    }  # fmt: skip
    return row | changes


def write_page(path: Path, sections: list[report.Section], **changes: object) -> Page:
    fields = {"title": "digits", "summary": "Read row by row.", "command": "seqzoo run digits", "facts": {"seed": "0"}}
    report.write(path, **(fields | changes), sections=sections)
    return Page(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def full_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    images = np.random.default_rng(0).random((20, 8, 8))
    curves = report.learning_curves(history(9))
    sections = [
        report.Section("Learning curves", curves, "After each epoch."),
        report.Section("Once more", curves),
        report.Section("Confusion", report.confusion_matrix(np.array([[5, 1], [0, 7]]), ["no", "yes"])),
        report.Section("Examples", report.gallery(images, ["1"] * 20, ["1"] * 18 + ["2"] * 2)),
        report.Section("Model", report.model_diagram(chain())),
        report.Section("Artifacts", report.artifact_table([artifact(), artifact(format="ONNX", passed=False)])),
    ]
    return write_page(tmp_path_factory.mktemp("page") / "report.html", sections, facts={"seed": "0", "device": "CPU"})


def test_page_loads_nothing_from_elsewhere(full_page: Page) -> None:
    for attribute in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in full_page.values(attribute))
    style = " ".join(full_page.styles + full_page.values("style") + full_page.values("clip-path"))
    assert "@import" not in style
    assert "@font-face" not in style
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)", style))
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in full_page.tags}
    policy = [attributes["content"] for _, attributes in full_page.tags if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_ids_are_unique_and_every_reference_resolves(full_page: Page) -> None:
    ids = full_page.values("id")
    assert len(ids) == len(set(ids))
    inside = [value[1:] for value in full_page.values("href")] + full_page.values("aria-labelledby")
    clips = re.findall(r"url\(#([^)]*)\)", " ".join(full_page.values("clip-path")))
    assert clips  # the curves are clipped: that is what clashing ids would break
    assert set(inside + clips) <= set(ids)


def test_page_says_what_it_was_given_and_can_be_navigated(full_page: Page) -> None:
    for text in ("digits", "Read row by row.", "seqzoo run digits", "device", "CPU", "After each epoch.", "encoder"):
        assert text in full_page.text
    assert full_page.count("h1") == 1
    assert full_page.count("h2") == 7
    labels = [attributes.get("aria-label") for tag, attributes in full_page.tags if tag == "svg"]
    assert len(labels) == 7
    assert all(labels)
    assert all(attributes.get("alt") for tag, attributes in full_page.tags if tag == "img")
    assert {attributes.get("scope") for tag, attributes in full_page.tags if tag == "th"} == {"col", "row"}


def test_page_follows_the_reader_into_the_dark(full_page: Page) -> None:
    style = " ".join(full_page.styles)
    dark = style[style.index("prefers-color-scheme: dark") :]
    for name in THEME:
        assert style.count(f"--{name}: {LIGHT[name]};") == 1
        assert dark.count(f"--{name}: {DARK[name]};") == 1


def luminance(colour: tuple[float, ...]) -> float:
    """WCAG 2.2, relative luminance of sRGB in 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(theme: dict[str, str]) -> None:
    rgb = {name: tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)) for name, value in theme.items()}
    for text, ground in itertools.product(("ink", "muted", "accent", "second", "good", "bad"), ("paper", "card")):
        assert contrast(rgb[text], rgb[ground]) >= 4.5, (text, ground)
    # The confusion matrix's cells at their strongest, as the style sheet mixes them.
    style = importlib.resources.files("recipes").joinpath("report.html").read_text("utf-8")
    tints = re.findall(r"var\(--(accent|bad)\) calc\((?:(\d+)% \+ )?var\(--share\) \* (\d+)%\), var\(--card\)", style)
    assert [name for name, _, _ in tints] == ["accent", "bad"]
    for tint, least, more in tints:
        share = (int(least or 0) + int(more)) / 100
        mixed = tuple(share * a + (1 - share) * b for a, b in zip(rgb[tint], rgb["card"], strict=True))
        assert contrast(rgb["ink"], mixed) >= 4.5, tint


def test_whatever_comes_from_users_is_text(tmp_path: Path) -> None:
    inputs = keras.Input((2,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1, name="<b>&logits")(inputs), name="<script>")
    pieces = [
        report.table([EVIL, "b"], [[EVIL, EVIL]]),
        report.artifact_table([artifact(format=EVIL, file=EVIL, metrics={EVIL: 1.0})]),
        report.confusion_matrix(np.array([[1, 2], [0, 1]]), [EVIL, "b"]),
        report.gallery(np.zeros((2, 3, 3)), [EVIL, "a"], ["a", EVIL]),
        report.learning_curves([{"epoch": 1, EVIL: 1.0, "loss": 2.0}]),
        report.model_diagram(model),
        report.inline_svg(report.themed_axes()[0], EVIL),
    ]
    axes_figure, axes = report.themed_axes()
    axes.set_title(EVIL)
    pieces.append(report.inline_svg(axes_figure, "a title"))
    sections = [report.Section(EVIL, "".join(pieces), EVIL)]
    page = write_page(tmp_path / "r.html", sections, title=EVIL, summary=EVIL, command=EVIL, facts={EVIL: EVIL})
    assert page.count("script") == 0
    assert page.text.count('<script>alert("1")</script>') >= 15
    assert "{{ 1 }}" in page.text
    assert "<b>&logits" in page.text
    assert EVIL in page.values("aria-label")


def test_a_full_disk_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_page(path, [])
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecipeError, match=r"report\.html.*No space left"):
        write_page(path, [], title="another")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nowhere") as caught:
        write_page(tmp_path / "nowhere" / "report.html", [])
    assert "\n" not in str(caught.value)


def test_a_kill_never_leaves_half_a_page(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    code = (
        "from recipes import report\n"
        "section = report.Section('much', '<p>x</p>' * 300_000)\n"
        f"while True: report.write({str(path)!r}, title='t', summary='', command='', facts={{}}, sections=[section])"
    )
    for delay in (0.0, 0.013, 0.029):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code])
        deadline = time.monotonic() + 60
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert path.read_text("utf-8").rstrip().endswith("</html>")


def test_importing_the_report_is_quick() -> None:
    code = "import sys, recipes.report; print(*{'matplotlib', 'jinja2', 'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_table_keeps_fragments_and_aligns_numbers() -> None:
    inner = report.table(["x"], [[1]])
    text = report.table(["trial", "units", "loss"], [["a", np.int64(64), 0.123456], ["b", 128, None], ["c", 3, inner]])
    assert text.count("<table") == 2
    page = Page(report.table(["trial", "units", "loss"], [["a", np.int64(64), 0.123456], ["b", 128, None]]))
    heads = [attributes["class"] for tag, attributes in page.tags if tag == "th" and attributes["scope"] == "col"]
    assert heads == ["text", "number", "number"]
    assert page.texts[3:] == ["a", "64", "0.1235", "b", "128", "—"]
    assert Page(report.table(["a"], [])).count("tr") == 1
    with pytest.raises(ValueError, match="2 columns got a row of 1 cells"):
        report.table(["a", "b"], [["x"]])


def test_artifact_table_tells_what_was_measured() -> None:
    rows = [
        artifact(),
        artifact(format="ONNX", passed=False, max_abs_error=math.nan, metrics={"f1": 0.5}),
        {"format": "x"},
    ]
    root = ET.fromstring(report.artifact_table(rows))
    heads, first, second, third = ([" ".join(cell.itertext()) for cell in row] for row in root.iter("tr"))
    expected = ["LiteRT", "exports/digits.tflite", "571.3", "1.25", "0.0912", "0.1034", "2.38e-07", "1e-05"]
    assert first == [*expected, "✓ passed", "0.9806", "—"]
    assert heads[-2:] == ["accuracy", "f1"]
    assert second[6:] == ["NaN", "1e-05", "✗ failed", "—", "0.5"]
    assert third == ["x"] + ["—"] * 10
    assert Page(report.artifact_table([])).text == "Nothing was exported."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0, "0"), (1797, "1797"), (0.98611, "0.9861"), (12345.6, "12,346"), (1e-4, "0.0001"),
        (2.384e-7, "2.38e-07"), (math.nan, "NaN"), (-math.inf, "-inf"), (True, "True"), ("lstm", "lstm"),
        (np.float32(0.5), "0.5"), ((64, 64), "(64, 64)"),
    ],
)  # fmt: skip
def test_numbers_are_readable(value: object, text: str) -> None:
    assert report.readable(value) == text
