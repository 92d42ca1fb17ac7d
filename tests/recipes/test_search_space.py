"""What is searched: what recipes declare, narrowed and widened by the user."""

import pytest

import recipes
from recipes.cli import main
from recipes.search_space import parse_space, search_space

DIGITS = recipes.get_recipe("digits")


@pytest.mark.parametrize("name", recipes.list_recipes())
def test_every_recipe_declares_a_space_around_its_own_settings(name):
    recipe = recipes.get_recipe(name)
    for field, search in search_space(recipe, {}, ()).items():
        usual = getattr(recipe, field)
        if usual is not None:
            assert usual in search.values if search.values else search.low <= usual <= search.high, field


def test_fields_given_are_not_searched():
    declared = search_space(DIGITS, {}, ())
    assert set(declared) == {"learning_rate", "cell", "units", "bidirectional", "dropout"}
    assert "cell" not in search_space(DIGITS, {}, ("cell",))
    assert declared["cell"].values == ("simple_rnn", "lstm", "gru")
    assert search_space(DIGITS, {"epochs": (2, 5)}, ())["epochs"].high == 5
    assert search_space(DIGITS, {"cell": ["gru"]}, ("cell",))["cell"].values == ("gru",)


@pytest.mark.parametrize(
    ("words", "space"),
    [
        (["learning-rate=1e-4:1e-2"], {"learning_rate": (1e-4, 1e-2)}),
        (["units=64,64+32"], {"units": [(64,), (64, 32)]}),
        (["bidirectional=true,false", "cell=gru"], {"bidirectional": [True, False], "cell": ["gru"]}),
        (["clip_norm=none,1,2.5"], {"clip_norm": [None, 1, 2.5]}),
    ],
)
def test_spaces_are_read(words, space):
    assert parse_space(DIGITS, words) == space


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learning_rate"], "reads like learning_rate=1e-4:1e-2"),
        (["learning_rat=1:2"], "did you mean 'learning_rate'"),
        (["learning_rate=a:b"], "'a' is no number"),
        (["cell=gruu"], "did you mean 'gru'"),
        (["dropout=0:2"], "dropout must be a number, at least 0 and below 1; got 2"),
        (["epochs=5:5"], "epochs has no values from 5 to 5"),
        (["units=8+x"], "'x' is no number"),
    ],
)
def test_wrong_spaces(words, message, capsys, tmp_path):
    assert main(["tune", "digits", "--space", *words, "--out", str(tmp_path / "t")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t").exists()
