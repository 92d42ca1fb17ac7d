"""The conditional random field against brute force over all paths."""

import itertools

import keras
import numpy as np
import pytest

from tests.zoo.support import build, call, outputs_of, train
from zoo.layers import CRF

CLASSES, TIME = 3, 5
MASKS = {
    "none": None,
    "right": np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], bool),
    "holes": np.array([[0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 1, 0, 0, 0]], bool),
    "empty row": np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], bool),
}
FORBIDDEN = {"free": (), "constrained": ((0, 1), (2, 2))}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
every_rule = pytest.mark.parametrize("forbidden", FORBIDDEN.values(), ids=FORBIDDEN.keys())


def layer(forbidden: tuple[tuple[int, int], ...] = (), seed: int = 0) -> CRF:
    crf, rng = CRF(CLASSES, forbidden), np.random.default_rng(seed)
    crf.build((None, None, CLASSES))
    crf.set_weights([rng.normal(size=weight.shape) for weight in crf.get_weights()])
    return crf


def all_paths(crf: CRF, emissions: np.ndarray) -> dict[tuple[int, ...], float]:
    """The score of every allowed path over the given steps."""
    transitions, start, end = crf.get_weights()
    scores = {}
    for path in itertools.product(range(CLASSES), repeat=len(emissions)):
        pairs = list(itertools.pairwise(path))
        if not set(pairs) & set(crf.forbidden):
            score = start[path[0]] + end[path[-1]] + sum(emissions[t, tag] for t, tag in enumerate(path))
            scores[path] = score + sum(transitions[pair] for pair in pairs)
    return scores


@every_mask
@every_rule
def test_likelihood_and_best_path_equal_brute_force(
    mask: np.ndarray | None, forbidden: tuple[tuple[int, int], ...]
) -> None:
    rng, crf = np.random.default_rng(1), layer(forbidden)
    emissions = rng.normal(scale=2, size=(3, TIME, CLASSES)).astype("float32")
    valid = np.ones((3, TIME), bool) if mask is None else mask
    best = np.asarray(crf(emissions, mask=mask))
    partition = np.asarray(crf.log_partition(emissions, mask))
    for row in range(3):
        if not valid[row].any():
            assert partition[row] == 0
            assert (best[row] == 0).all()
            continue
        scores = all_paths(crf, emissions[row, valid[row]])
        total = np.logaddexp.reduce(list(scores.values()))
        assert partition[row] == pytest.approx(total, abs=1e-5)
        assert tuple(best[row, valid[row]]) == max(scores, key=scores.__getitem__)
        assert (best[row, ~valid[row]] == 0).all()
        for path in itertools.islice(scores, 0, None, 17):
            tags = rng.integers(0, CLASSES, (3, TIME))  # what stands at masked steps must not matter
            tags[row, valid[row]] = path
            got = np.asarray(crf.log_likelihood(emissions, tags, mask))[row]
            assert got == pytest.approx(scores[path] - total, abs=1e-4)


def test_probabilities_of_all_paths_sum_to_one() -> None:
    crf = layer(FORBIDDEN["constrained"])
    emissions = np.random.default_rng(2).normal(size=(1, 4, CLASSES)).astype("float32")
    paths = np.array(list(itertools.product(range(CLASSES), repeat=4)))
    likelihood = np.asarray(crf.log_likelihood(np.repeat(emissions, len(paths), 0), paths))
    assert np.exp(likelihood).sum() == pytest.approx(1, abs=1e-5)
    broken = [bool(set(itertools.pairwise(path)) & set(crf.forbidden)) for path in paths.tolist()]
    assert (likelihood[broken] < -1000).all()
    assert np.isfinite(likelihood).all()


def test_long_sequences_stay_finite() -> None:
    crf = layer(FORBIDDEN["constrained"])
    emissions = np.random.default_rng(3).normal(scale=5, size=(2, 500, CLASSES)).astype("float32")
    best = np.asarray(crf(emissions))
    likelihood = np.asarray(crf.log_likelihood(emissions, best))
    assert np.isfinite(likelihood).all()
    assert (likelihood < 0).all()
    pairs = set(zip(best[:, :-1].ravel().tolist(), best[:, 1:].ravel().tolist(), strict=True))
    assert not pairs & set(crf.forbidden)


def test_an_unknown_tag_is_refused() -> None:
    with pytest.raises(ValueError, match=r"forbidden pairs hold tags from 0 to 2, got \(1, 3\)"):
        CRF(3, ((0, 1), (1, 3)))


def test_the_model_trains_on_its_own_likelihood_and_leaves_padding_out() -> None:
    model = build("crf_tagger", {"vocabulary": 7, "embedding": 4, "classes": CLASSES, "units": (4,)})
    model.compile("sgd")
    ids = np.array([[1, 2, 3, 4], [5, 6, 0, 0]], "int32")
    tags = np.array([[0, 1, 2, 1], [2, 2, 0, 0]], "int32")
    crf, logits = model.get_layer("tags"), outputs_of(model, {"token_ids": ids})["logits"]
    scores = [all_paths(crf, logits[0]), all_paths(crf, logits[1, :2])]
    paths = (0, 1, 2, 1), (2, 2)
    losses = [np.logaddexp.reduce(list(s.values())) - s[path] for s, path in zip(scores, paths, strict=True)]
    assert model.evaluate(ids, tags, verbose=0) == pytest.approx(np.mean(losses), abs=1e-4)
    weighted = model.evaluate(ids, tags, sample_weight=np.array([3.0, 1.0]), verbose=0)
    assert weighted == pytest.approx((3 * losses[0] + losses[1]) / 4, abs=1e-4)


def test_it_learns_what_single_steps_cannot_tell() -> None:
    # Tags alternate; only the first step's feature says which tag comes first. The rest is noise.
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 64)
    tags = (first[:, None] + np.arange(8)) % 2
    x = rng.normal(scale=0.1, size=(64, 8, 1)).astype("float32")
    x[:, 0, 0] = 2 * first - 1
    fields = {"features": 1, "classes": 2, "units": (2,), "cell": "simple_rnn", "bidirectional": False}
    model = build("crf_tagger", {**fields, "forbidden": ((0, 0), (1, 1))})
    model.compile(keras.optimizers.Adam(0.05))
    losses = train(model, x, tags, 30)
    assert losses[-1] < 0.1 * losses[0]
    np.testing.assert_array_equal(call(model, {"features": x})["tags"], tags)
