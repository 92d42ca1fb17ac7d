"""Reviews and the user's own texts: the parts, the metrics, what the page shows, a whole run."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

import export
import recipes
from recipes import judging, text
from recipes.errors import RecipeError, UsageError
from recipes.recipe import configure
from tests.recipes.real_data import data_dir

GOOD, BAD, NEUTRAL = "superb moving lovely", "dull weak boring", "the film was a an it story actor"


def reviews(count: int, seed: int) -> list[dict[str, str]]:
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = ("neg", "pos")[number % 2]
        words = random.choice(f"{NEUTRAL} {(BAD, GOOD)[number % 2]}".split(), random.integers(5, 30))
        found.append({"text": f"{' '.join(words)}<br /><br />Number {number}!", "label": label})
    return found


@pytest.fixture
def imdb(monkeypatch):
    splits = {"train": reviews(200, 0) + reviews(6, 0), "test": reviews(60, 1)}
    splits["test"][0]["text"] += " unheard"
    monkeypatch.setattr("recipes.datasets.load", lambda name, data_dir: splits)
    return configure(recipes.get_recipe("imdb"), {"longest": 12, "vocabulary": 30})


@pytest.fixture
def csv_file(tmp_path):
    rows = [f'"{row["text"]}",{3 if row["label"] == "neg" else 10}' for row in reviews(120, 2)]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["comment,stars", *rows, ""]))
    return path


def own(path: Path, **fields):
    return configure(recipes.get_recipe("classify"), {"csv": str(path), "text": "comment", "label": "stars"} | fields)


def test_a_tenth_of_the_training_part_validates(imdb):
    data = imdb.load_data()
    assert len(data.test) == 60
    assert len(data.train) + len(data.validation) == 206
    assert 20 <= len(data.validation) <= 24
    assert not {*data.train.texts} & {*data.validation.texts}, "equal reviews are in one part"
    for part in (data.train, data.validation, data.test):
        assert 0.4 < part.targets.mean() < 0.6
        assert part.labels == ("neg", "pos")


def test_the_vocabulary_is_of_the_training_part(imdb):
    data = imdb.load_data()
    cut = text.TextReader(data.metadata).tokens
    seen = {token for review in data.train.texts for token in cut(review)}
    assert {*data.metadata["vocabulary"][4:]} <= seen
    assert len(data.metadata["vocabulary"]) == 30
    assert data.test.inputs["token_ids"][0][-1] == 1, "'unheard' is not known"


def test_long_reviews_are_read_from_their_end(imdb):
    data = imdb.load_data()
    lengths = data.train.inputs["token_ids"].lengths
    assert lengths.max() == 12
    known = data.metadata["vocabulary"]
    row = int(lengths.argmax())
    ends = [known[place] for place in data.train.inputs["token_ids"][row][-4:]]
    assert ends[0] == "<br />"
    assert ends[1] == "number"
    assert ends[3] == "!"


def test_stars_are_classes_in_the_order_of_their_number(csv_file):
    data = own(csv_file).load_data()
    assert data.labels == ("3", "10")
    sizes = [len(getattr(data, part)) for part in ("train", "validation", "test")]
    assert sizes == [96, 12, 12]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"csv": None}, "classify needs a file: --csv FILE --text COLUMN --label COLUMN"),
        ({"text": "coment"}, "has no column 'coment'; did you mean 'comment'"),
        ({"label": "comment"}, "--text and --label both name the column 'comment'"),
        (
            {"text": "stars", "label": "comment"},
            "column 'comment' has 120 different values in 120 rows: these are no classes",
        ),
    ],
)
def test_what_the_user_got_wrong(csv_file, fields, words):
    with pytest.raises(UsageError, match=words):
        own(csv_file, **fields).load_data()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("comment,stars\nfine,1\nfine\n", "line 3"),
        ("comment,stars\nfine,1\n,2\n", "line 3"),
        ("comment,stars\na,1\nb,1\nc,1\n", "column 'stars' says '1' in every row"),
        ("comment,stars\na,1\na,1\nb,2\nb,2\n", "its 4 rows are too few"),
    ],
)
def test_files_that_teach_nothing(tmp_path, content, words):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(RecipeError, match=words) as refusal:
        own(path).load_data()
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_metrics_are_scikit_learns(csv_file):
    recipe = own(csv_file)
    test = recipe.load_data().test
    logits = np.random.default_rng(0).normal(size=(len(test), 2))
    named = logits.argmax(axis=1)
    verdict = recipe.judge({"logits": logits}, test)
    assert verdict.metrics["accuracy"] == pytest.approx(accuracy_score(test.targets, named))
    assert verdict.metrics["macro_f1"] == pytest.approx(f1_score(test.targets, named, average="macro"))
    confusion, examples = (draw() for draw in verdict.sections)
    assert f"{int((named != test.targets).sum())} of 12 wrong" in examples.caption
    assert confusion.html


def test_a_model_that_is_no_classifier_is_refused(csv_file):
    recipe = own(csv_file, model="sequence_tagger")
    with pytest.raises(UsageError, match="classify can't use sequence_tagger: it is many-to-many, not many-to-one"):
        recipe.build_model(recipe.load_data())


def test_a_whole_run(csv_file, tmp_path):
    fields = {"csv": str(csv_file), "text": "comment", "label": "stars", "units": (6,), "embedding": 8, "epochs": 5}
    run = recipes.run("classify", out=tmp_path / "run", quiet=True, learning_rate=0.03, **fields)
    assert run.metrics["accuracy"] >= 0.75, "the words say it"
    assert [row["metrics"] for row in run.results["artifacts"]] == [run.metrics] * 3
    page = (run.folder / "report.html").read_text()
    assert "What the model looked at" in page
    assert "Confusion matrix" in page
    # From raw text to a class with nothing but the file.
    file = next(run.folder.glob("exports/*.onnx"))
    runtime = export.load_runtime(file)
    read = text.TextReader(runtime.metadata)
    logits = [runtime({"token_ids": read(raw)[None]})["logits"][0] for raw in run.data.test.texts]
    outputs = judging.outputs_on(run.config, judging.keras_predict(run.model), run.data.test)
    np.testing.assert_allclose(logits, outputs["logits"], rtol=1e-4, atol=1e-5)
    assert json.loads((run.folder / "exports" / "manifest.json").read_text())["artifacts"]


@pytest.mark.slow
def test_imdb_is_understood(tmp_path):
    run = recipes.run("imdb", out=tmp_path / "run", quiet=True, data_dir=data_dir("imdb_reviews"))
    assert run.metrics["accuracy"] >= 0.86
