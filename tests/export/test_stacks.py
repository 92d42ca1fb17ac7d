"""Cells of the user's own in a stack, and whole numbers as a recurrent layer's input: as Keras has them."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from tests.export import user_cells
from tests.export.judging import SUFFIXES, difference, plain_runtime
from tests.export.random_models import randomise

L = keras.layers
CELLS = {
    "minimal": lambda: user_cells.MinimalCell(2),
    "readout": lambda: user_cells.ReadoutCell(2, 4),
    "many": lambda: user_cells.ManyStatesCell(2, 3),
    "GRU": lambda: L.GRUCell(3),
    "LSTM": lambda: L.LSTMCell(2),
}
PAIRS = list(itertools.product(CELLS, repeat=2))
FEW = [("minimal", "GRU"), ("GRU", "minimal"), ("many", "readout")]
X = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")


@pytest.mark.parametrize("pairs", [pytest.param(PAIRS, marks=pytest.mark.slow), FEW], ids=["all", "few"])
@pytest.mark.parametrize("fmt", SUFFIXES)
def test_pairs_of_cells(fmt: str, pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    """A stack holds a single state by itself, and calls its cell with a list of it."""
    x, outputs = keras.Input((None, 4), name="x"), {}
    for below, above in pairs:
        states = above == "minimal"
        y = L.RNN([CELLS[below](), CELLS[above]()], return_sequences=below == "GRU", return_state=states)(x)
        for index, value in enumerate(keras.tree.flatten(y)):
            outputs[f"{below}_{above}_{index}"] = value
    model = randomise(keras.Model({"x": x}, outputs), seed=1)
    path = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", verify=False).path
    got, wanted = plain_runtime(path)({"x": X}), model({"x": X})
    assert {name: found for name in wanted if (found := difference(np.asarray(wanted[name]), got[name]))} == {}


@pytest.mark.parametrize("fmt", SUFFIXES)
def test_a_stack_of_ones_own_cells_streams(fmt: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 4)), L.RNN([CELLS["minimal"](), CELLS["readout"]()])])
    assert export.export_model(randomise(model, seed=2), tmp_path, fmt, streaming=True).report.passed


@pytest.mark.parametrize("dtype", ["int32", pytest.param("bool", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fmt", SUFFIXES)
def test_whole_numbers_go_into_a_layer(fmt: str, dtype: str, tmp_path: Path) -> None:
    x, outputs = keras.Input((None, 4), dtype=dtype, name="x"), {}
    for layer in (L.LSTM(2), L.GRU(2, return_sequences=True), L.SimpleRNN(2), L.Bidirectional(L.GRU(2))):
        outputs[layer.name] = layer(x)
    model = randomise(keras.Model({"x": x}, outputs), seed=3)
    path = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}").path
    given: Any = np.random.default_rng(0).integers(0, 2, (2, 5, 4)).astype(dtype)
    got, wanted = plain_runtime(path)({"x": given}), model({"x": given})
    assert {name: found for name in wanted if (found := difference(np.asarray(wanted[name]), got[name]))} == {}
