"""The command tells what there is: `list`, `show`, `doctor`."""

import json

import keras

import recipes
import zoo
from recipes import doctor


def test_list(seqzoo):
    code, out, _ = seqzoo("list", "--json")
    entries = json.loads(out)
    assert code == 0
    assert [entry["name"] for entry in entries if entry["kind"] == "recipe"] == recipes.list_recipes()
    assert [entry["name"] for entry in entries if entry["kind"] == "model"] == zoo.list_models()
    _, out, _ = seqzoo("list", "*tagger*", "--streamable", "True", "--json")
    assert [entry["name"] for entry in json.loads(out)] == zoo.list_models("*tagger*", streamable=True)
    _, out, _ = seqzoo("list", "*class*")
    assert "sequence_classifier" in out
    assert "digits" not in out


def test_show_a_model(seqzoo):
    code, out, _ = seqzoo("show", "sequence_classifier")
    assert code == 0
    for words in (
        "many-to-one",
        "streamable",
        "classes",
        "(required)",
        "dropout",
        "Hochreiter",
        "h_t = cell",
        "at least 1",
    ):
        assert words in out
    _, out, _ = seqzoo("show", "sequence_classifier", "--json")
    entry = json.loads(out)
    spec = zoo.get_spec("sequence_classifier")
    assert [field["field"] for field in entry["fields"]] == list(spec.fields)
    drawn = [line.split() for line in entry["diagram"]]
    assert [line[0] for line in drawn] == ["features", "lstm_1", "logits*"]
    assert drawn[1] == ["lstm_1", "LSTM", "(batch,", "3)", "<-", "features"]
    assert zoo.create_model(spec.name, **spec.tiny).count_params() in entry["facts"]["parameters"].values()


def test_show_a_recipe(seqzoo):
    code, out, _ = seqzoo("show", "digits", "--json")
    assert code == 0
    entry = json.loads(out)
    assert entry["facts"]["examples"] == {"train": 1149, "validation": 288, "test": 360}
    fields = {field["field"]: field for field in entry["fields"]}
    assert fields["epochs"]["type"] == "an integer, at least 1"
    assert fields["units"]["default"] == list(recipes.get_recipe("digits").units)
    assert all(field["meaning"] for field in entry["fields"])


def test_doctor(seqzoo):
    code, out, err = seqzoo("doctor", "--json")
    content = json.loads(out)
    assert content["versions"]["tensorflow"]["installed"].startswith("2.21")
    assert content["device"].startswith(("CPU", "GPU"))
    assert (code == 0) == (content["clashes"] == []) == (err == "")


def test_doctor_names_a_clash(seqzoo, monkeypatch):
    monkeypatch.setattr(doctor, "requirements", lambda: ["keras>=99", "numpy", "not-there-at-all>=1"])
    code, out, err = seqzoo("doctor")
    assert code == 1
    assert f"keras {keras.__version__} is installed, but seqzoo needs keras>=99: pip install 'keras>=99'" in err
    assert "not-there-at-all is missing" in err
    assert err.count("\n") == 1
    assert "not-there-at-all" in out
