"""Models that many tests share, exported once a session."""

from collections.abc import Callable
from pathlib import Path

import keras
import pytest

import export
from tests.export.judging import SUFFIXES
from tests.export.random_models import randomise

L = keras.layers


def _tagger() -> keras.Model:
    """Masked features, both directions, one label a step. Square kernels: a transposed one has the right shape."""
    features = keras.Input((None, 4), name="features")
    x = L.Masking(name="masking")(features)
    x = L.Bidirectional(L.LSTM(3, return_sequences=True), name="both")(x)
    x = L.GRU(6, return_sequences=True, name="gru")(x)
    return randomise(keras.Model(features, L.Dense(5, name="tags")(x), name="tagger"), seed=1)


def _classifier() -> keras.Model:
    tokens = keras.Input((None,), name="token_ids", dtype="int32")
    x = L.Embedding(11, 4, mask_zero=True, name="embedding")(tokens)
    x = L.LSTM(4, name="lstm")(x)
    return randomise(keras.Model(tokens, L.Dense(3, name="logits")(x), name="classifier"), seed=2)


def _regressor() -> keras.Model:
    """Two inputs, two outputs, no mask."""
    series, static = keras.Input((None, 2), name="series"), keras.Input((3,), name="static")
    x = L.SimpleRNN(4, name="rnn")(series)
    joint = L.Dense(2, name="mean")(L.Concatenate(name="joined")([x, static]))
    return randomise(keras.Model([series, static], {"mean": joint, "summary": x}, name="regressor"), seed=3)


MODELS = {"tagger": _tagger, "classifier": _classifier, "regressor": _regressor}
METADATA = {"labels": ["a", "b", "ü"], "sample_rate": 8000, "normalisation": {"mean": [0.5], "std": [2.0]}}


@pytest.fixture(scope="session")
def model_of() -> Callable[[str], keras.Model]:
    """A shared model, by name. Tests leave it as it is."""
    built: dict[str, keras.Model] = {}

    def get(name: str) -> keras.Model:
        if name not in built:
            built[name] = MODELS[name]()
        return built[name]

    return get


@pytest.fixture(scope="session")
def artifact_of(
    tmp_path_factory: pytest.TempPathFactory, model_of: Callable[[str], keras.Model]
) -> Callable[[str, str], export.Artifact]:
    """A shared model's verified artifact in a format. Tests that change files copy them first."""
    folder: Path = tmp_path_factory.mktemp("exported")
    made: dict[tuple[str, str], export.Artifact] = {}

    def get(name: str, fmt: str) -> export.Artifact:
        if (name, fmt) not in made:
            path = folder / name / f"{name}{SUFFIXES[fmt]}"
            made[name, fmt] = export.export_model(model_of(name), path, metadata=METADATA)
        return made[name, fmt]

    return get
