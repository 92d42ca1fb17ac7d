"""Pictures and captions: that they agree, what is counted, and a small run."""

import numpy as np
import pytest

import export
import recipes
from recipes import canvas, datasets, judging, pipelines
from recipes.data import Ragged
from recipes.recipe import configure
from recipes.vocabulary import END, START

FIELDS = {
    "pictures": 300,
    "filters": (4, 8),
    "units": (16,),
    "embedding": 16,
    "epochs": 2,
    "batch_size": 32,
    "learning_rate": 0.01,
}


def digits(count: int, first: int) -> list[dict]:
    """Digits that are told apart by their grey: a square of 20 pixels."""
    examples = []
    for place in range(count):
        image = np.zeros((28, 28, 1), "uint8")
        image[4:24, 4:24] = first + place % 100
        examples.append({"image": image, "label": place % 10})
    return examples


@pytest.fixture(scope="module")
def recipe():
    return configure(recipes.get_recipe("digit_captions"), FIELDS)


@pytest.fixture(scope="module")
def mnist():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "JUDGED", 120)
        patch.setattr(canvas, "HELD_OUT", 200)
        parts = {"train": [*digits(500, 1), *digits(200, 101)], "test": digits(100, 151)}
        patch.setattr(datasets, "load", lambda name, data_dir=None: {"mnist": parts}[name])
        yield parts


@pytest.fixture(scope="module")
def data(recipe, mnist):
    return recipe.load_data()


def middle(image: np.ndarray) -> np.ndarray:
    """The centre of what is drawn: row, column."""
    return np.argwhere(image > 0).mean(axis=0)


def test_captions_say_what_is_drawn(data) -> None:
    seen = set()
    for row in range(len(data.train)):
        inputs, _, _ = data.train.batch(np.array([row]))
        image, caption = (inputs["image"][0, ..., 0] * 255).round().astype(int), " ".join(data.train.references[row])
        first, *others = [canvas.NAMES[(grey - 1) % 100 % 10] for grey in np.unique(image) if grey]
        if not others and " of " not in caption and "above" not in caption:
            assert caption == f"{'an' if first == 'eight' else 'a'} {first}"
            seen.add("alone")
            continue
        indices = data.train.places[row, :, 0]
        greys = [int(data.train.digits[index].max()) for index in indices]
        if greys[0] == greys[1]:
            continue
        down, right = middle(image == greys[1]) - middle(image == greys[0])
        words = [canvas.NAMES[index % 10] for index in indices]
        vertical = "above" if down > 20 else ""
        sideways = "left of" if right > 20 else "right of" if right < -20 else ""
        relation = " and ".join(word for word in (vertical, sideways) if word)
        names = [f"{'an' if word == 'eight' else 'a'} {word}" for word in words]
        assert caption == f"{names[0]} {relation} {names[1]}"
        seen.add(relation)
    assert seen == {"alone", "left of", "above", "above and left of", "above and right of"}


def test_parts_share_no_digit_and_no_picture_is_cut(data) -> None:
    ranges = {"train": (1, 100), "validation": (101, 200), "test": (151, 250)}
    for part, (low, high) in ranges.items():
        split = getattr(data, part)
        images = split.batch(np.arange(len(split)))[0]["image"]
        assert images.shape == (len(split), 64, 64, 1)
        greys = np.unique((images * 255).round().astype(int))
        assert greys[0] == 0
        assert low <= greys[1] <= greys[-1] <= high
        ink = (images > 0).sum(axis=(1, 2, 3))
        alone = split.places[:, 1, 0] < 0
        assert (ink[alone] == 400).all()
        assert (ink[~alone] > 400).all()


def test_the_model_reads_a_start_and_says_an_end(data) -> None:
    inputs, targets, weights = data.train.batch(np.arange(8))
    assert (inputs["token_ids"][:, 0] == START).all()
    assert (targets[np.arange(8), weights.sum(axis=1).astype(int) - 1] == END).all()
    assert "right" in data.metadata["vocabulary"]
    assert (len(data.train), len(data.validation), len(data.test)) == (300, 120, 120)


def test_pictures_are_the_same_for_every_seed(recipe, data) -> None:
    other = configure(recipe, {"seed": 5}).load_data()
    np.testing.assert_array_equal(other.test.places, data.test.places)
    assert other.train.references == data.train.references


def test_a_caption_counts_when_all_of_it_is_right(recipe, data) -> None:
    split, targets = data.test, data.test.targets
    rows = [np.pad(targets[row], (0, 10 - len(targets[row]))) for row in range(len(split))]
    rows[3] = rows[3].copy()
    rows[3][1] = split.vocabulary.ids(["above"])[0]
    written = Ragged.of([[row] for row in rows], dtype="int32")
    right = Ragged.of([np.arange(4) > 0] * 3, dtype="bool")
    verdict = recipe.judge({"generated_ids": written, "right": right}, split)
    assert verdict.metrics == {"exact_match": pytest.approx(119 / 120), "token_accuracy": 0.75}
    section = verdict.sections[0]()
    assert "1 mistake among 120 examples" in section.html


def test_what_is_judged_writes_beside_teacher_forcing(recipe, data) -> None:
    model = recipe.build_model(data)
    judged, _, captioner = recipe.deployments(model, data)
    both = judging.outputs_on(recipe, judging.keras_predict(judged.model), data.test)
    assert list(recipe.judge(both, data.test).metrics) == ["exact_match", "token_accuracy"]
    alone = judging.outputs_on(recipe, judging.keras_predict(captioner.model), data.test.to_read)
    for row in range(len(data.test)):
        np.testing.assert_array_equal(np.ravel(alone["generated_ids"][row]), np.ravel(both["generated_ids"][row]))
    assert set(captioner.example) == {"image"}
    stream = pipelines.training_stream(data, model, batch_size=32, seed=0, first=0, epochs=1)
    inputs, _, _ = next(iter(stream))
    assert inputs["image"].shape == (32, 64, 64, 1)


@pytest.mark.slow
def test_a_small_run_exports_a_captioner(mnist, tmp_path) -> None:
    run = recipes.run("digit_captions", out=tmp_path / "run", quiet=True, **FIELDS)
    rows = {row["file"]: row["metrics"] for row in run.results["artifacts"]}
    for file, metrics in rows.items():
        name = "exact_match" if file.startswith("captioner") else "token_accuracy"
        assert metrics == {name: pytest.approx(run.metrics[name], abs=0.02)}
    write = export.TextGenerator(run.folder / "exports" / "captioner.onnx")
    image = run.data.test.batch(np.array([0]))[0]["image"][0]
    assert set(write(image=image).split()) <= set(run.data.metadata["vocabulary"])
    assert "Captions" in (run.folder / "report.html").read_text()
