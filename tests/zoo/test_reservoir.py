"""Reservoirs: the equations, the spectral radius that was asked for, and what they are good for."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests import reference_reservoir as reference
from tests.zoo.reservoirs import ESN, RNG, X, reservoir_weights, states_of
from tests.zoo.support import build, call
from zoo import reservoir
from zoo.layers import EchoStateCell, LiquidStateCell
from zoo.reservoir_weights import echo_matrix, liquid_matrix

LSM = {"features": 2, "targets": 3, "units": 36, "input_scaling": 2.0}

BOTH = pytest.mark.parametrize(("name", "fields"), [("echo_state_network", ESN), ("liquid_state_machine", LSM)])


@pytest.mark.parametrize("leak_rate", [1.0, 0.3])
@pytest.mark.parametrize("input_to_readout", [True, False])
@pytest.mark.parametrize("squares", [True, False])
def test_echo_states_equal_the_equations(leak_rate: float, input_to_readout: bool, squares: bool) -> None:
    fields = {**ESN, "leak_rate": leak_rate, "bias_scaling": 0.5, "input_to_readout": input_to_readout}
    fields["squares_to_readout"] = squares
    model = build("echo_state_network", {**fields, "mask_value": 9.0})
    mask = RNG.random(X.shape[:2]) < 0.7
    states = reference.echo_states(X, *reservoir_weights(model), leak_rate, mask)
    x = np.where(mask[..., None], X, np.float32(9))
    kernel, bias = model.get_layer("predictions").get_weights()
    seen = [states, *([states**2] if squares else []), *([X] if input_to_readout else [])]
    expected = np.concatenate(seen, axis=-1) @ kernel + bias
    np.testing.assert_allclose(call(model, {"features": x})[mask], expected[mask], atol=1e-5)


@pytest.mark.parametrize("radius", [0.0, 0.1, 0.9, 1.0, 1.5])
@pytest.mark.parametrize(("units", "connectivity"), [(1, 0.1), (7, 0.01), (60, 0.1), (100, 1.0)])
def test_the_spectral_radius_is_the_one_asked_for(units: int, connectivity: float, radius: float) -> None:
    for seed in range(3):
        fields = {"features": 1, "units": units, "connectivity": connectivity, "spectral_radius": radius, "seed": seed}
        w = reservoir_weights(build("echo_state_network", fields))[1]
        assert abs(np.abs(np.linalg.eigvals(w)).max() - radius) < 1e-6
        assert ((w != 0).sum(axis=0) == (max(1, round(connectivity * units)) if radius else 0)).all()


def test_every_setting_of_the_reservoir_changes_the_outputs() -> None:
    base = {**ESN, "bias_scaling": 0.1}
    before = states_of(build("echo_state_network", base), X)
    changes = {
        "spectral_radius": 0.5,
        "input_scaling": 0.5,
        "bias_scaling": 0.5,
        "leak_rate": 0.5,
        "connectivity": 0.5,
        "seed": 1,
    }
    for name, value in changes.items():
        after = states_of(build("echo_state_network", {**base, name: value}), X)
        assert np.abs(after - before).max() > 1e-2, name
    assert (states_of(build("echo_state_network", base, seed=5), X) == before).all()


def test_scalings_bound_the_weights() -> None:
    fields = {**ESN, "units": 400, "input_scaling": 0.3, "bias_scaling": 0.7}
    kernel, _, bias = reservoir_weights(build("echo_state_network", fields))
    assert 0.29 < np.abs(kernel).max() <= 0.3
    assert 0.65 < np.abs(bias).max() <= 0.7


def test_more_features_leave_the_recurrent_matrix_as_it_was() -> None:
    one, many = (build("echo_state_network", {**ESN, "features": n}) for n in (1, 5))
    np.testing.assert_array_equal(reservoir_weights(one)[1], reservoir_weights(many)[1])


@pytest.mark.parametrize(("refractory", "background"), [(0, 0.0), (2, 0.02), (5, 0.3)])
def test_spikes_equal_the_equations(refractory: int, background: float) -> None:
    fields = {**LSM, "refractory": refractory, "background": background, "membrane_time": 8.0, "synapse_time": 4.0}
    model = build("liquid_state_machine", fields)
    kernel, recurrent = reservoir_weights(model)
    fired, traces = reference.spikes(X, kernel, recurrent, 8.0, 4.0, refractory, 1.0, background)
    assert 0.01 < fired.mean() < 0.9
    assert fired.any(axis=(0, 1)).sum() > 20
    np.testing.assert_allclose(states_of(model, X), traces, atol=1e-4)


def test_the_liquid_obeys_dale_and_thins_out_with_distance() -> None:
    w = liquid_matrix(900, 0.8, 2.0, 0.5, np.random.default_rng(0))
    signs = np.sign(w)
    assert ((signs >= 0).all(axis=1) | (signs <= 0).all(axis=1)).all()
    assert ((signs < 0).any(axis=1)).sum() == 180
    assert not np.diag(w).any()
    layers = np.arange(900) // 9
    near, far = ((w != 0)[np.abs(layers[:, None] - layers[None]) == d].mean() for d in (1, 4))
    assert near > 5 * far > 0
    kind = (signs < 0).any(axis=1)
    to_excitatory = w[~kind][:, ~kind]
    assert abs(to_excitatory[to_excitatory > 0].mean() / 0.5 - 1) < 0.1


@BOTH
def test_only_the_readout_is_trained(name: str, fields: dict[str, Any]) -> None:
    model = build(name, fields)
    assert [weight.path for weight in model.trainable_weights] == ["predictions/kernel", "predictions/bias"]
    before = [weight.copy() for weight in reservoir_weights(model)]
    model.compile("adam", "mse")
    model.fit(X, RNG.normal(size=(3, 25, 3)), epochs=2, verbose=0)
    for after, weight in zip(reservoir_weights(model), before, strict=True):
        np.testing.assert_array_equal(after, weight)


@BOTH
def test_the_reservoir_survives_a_reload_bit_by_bit(name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    model = build(name, fields)
    # Weights that no seed gives: what is loaded comes from the file.
    layer = model.get_layer("reservoir")
    layer.set_weights([weight * np.float32(0.7) for weight in layer.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for after, before in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
    assert loaded.get_layer("reservoir").cell.get_config() == layer.cell.get_config()


def test_echo_states_forget_where_they_began_or_do_not() -> None:
    def report(radius: float, amplitude: float = 1.0, **fields: Any) -> reservoir.EchoStateReport:
        model = build("echo_state_network", {**ESN, "units": 50, "spectral_radius": radius, **fields})
        return reservoir.echo_state_property(model, amplitude * RNG.uniform(-1, 1, (800, 2)))

    small = report(0.2)
    assert small.guaranteed
    assert small.holds
    # A contraction: at each step no longer than the largest singular value allows.
    # Below the rounding of float32 states, distances are noise.
    assert (small.distances[1:] <= small.largest_singular_value * small.distances[:-1] + 1e-7).all()
    usual = report(0.9)
    assert usual.holds
    assert not usual.guaranteed
    assert usual.largest_singular_value > 1
    assert abs(usual.spectral_radius - 0.9) < 1e-6
    # Without input a radius above 1 never settles; a strong input drives the same reservoir into forgetting.
    assert not report(1.6, amplitude=0.0).holds
    assert report(1.6, amplitude=20.0).holds
    assert report(0.9, leak_rate=0.2).distances[50] > usual.distances[50]
    default = reservoir.echo_state_property(build("echo_state_network", ESN))
    assert default.distances.shape == (1000,)


def test_the_check_equals_the_model_run_from_two_states() -> None:
    model = build("echo_state_network", {**ESN, "leak_rate": 0.7})
    report = reservoir.echo_state_property(model, X[0], seed=3)
    starts = np.random.default_rng(3).uniform(-1, 1, (2, 20)).astype("float32")
    layer = model.get_layer("reservoir")
    runs = np.asarray(layer(np.stack([X[0]] * 2), initial_state=[starts]))
    wanted = np.linalg.norm(runs[0] - runs[1], axis=-1) / np.linalg.norm(starts[0] - starts[1])
    np.testing.assert_allclose(report.distances, wanted, atol=1e-5)


def test_the_memory_capacity_of_a_delay_line_is_its_length() -> None:
    model = build("echo_state_network", {"features": 1, "units": 6, "connectivity": 0.2})
    layer = model.get_layer("reservoir")
    # Almost linear: unit 0 holds u_t, unit k holds u_{t-k}.
    layer.set_weights([0.01 * np.eye(1, 6), np.eye(6, k=1), np.zeros(6)])
    curve = reservoir.memory_capacity(model, delays=10, steps=2000, ridge=0.0)
    np.testing.assert_allclose(curve[:5], 1.0, atol=1e-3)
    np.testing.assert_allclose(curve[5:], 0.0, atol=1e-2)


def test_memory_capacity_has_its_bound_and_falls_with_the_radius() -> None:
    def capacity(**fields: Any) -> np.ndarray:
        model = build("echo_state_network", {"features": 1, "units": 20, "input_scaling": 0.1, **fields})
        return reservoir.memory_capacity(model, steps=2000)

    long, short = capacity(spectral_radius=0.95), capacity(spectral_radius=0.2)
    assert long.shape == (40,)
    assert 20 >= long.sum() > 1.4 * short.sum()
    assert long[0] > 0.99
    assert long[30:].max() < 0.2
    with pytest.raises(ValueError, match="one input feature, the reservoir has 2"):
        reservoir.memory_capacity(build("echo_state_network", ESN))
    with pytest.raises(ValueError, match="no recurrent layer with a ReservoirCell"):
        reservoir.memory_capacity(zoo.create_model("sequence_tagger", features=1, classes=2))


def narma10(steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Atiya & Parlos 2000: y depends on the last ten outputs and on the input ten steps back."""
    u, y = np.random.default_rng(seed).uniform(0, 0.5, steps), np.zeros(steps)
    for t in range(9, steps - 1):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
    return u[None, :, None].astype("float32"), y[None, :, None]


def test_the_echo_state_network_learns_narma() -> None:
    fields = {"features": 1, "units": 150, "input_scaling": 0.5, "bias_scaling": 0.2}
    errors = {}
    for radius in (0.9, 0.0):
        model = build("echo_state_network", {**fields, "spectral_radius": radius})
        reservoir.fit_readout(model, *narma10(2000, 0), washout=100)
        x, y = narma10(1000, 1)
        errors[radius] = np.sqrt(np.square(model.predict(x, verbose=0) - y)[:, 100:].mean() / y[:, 100:].var())
    assert errors[0.9] < 0.45
    assert errors[0.0] > 0.8


def test_the_liquid_remembers_what_its_readout_cannot_see() -> None:
    rng = np.random.default_rng(0)

    def delayed(count: int) -> tuple[np.ndarray, np.ndarray]:
        pulses = (rng.random((count, 12, 1)) < 0.5).repeat(5, axis=1).astype("float32")
        return pulses, np.roll(pulses, 5, axis=1)  # the pulse before this one

    fields = {"features": 1, "units": 135, "membrane_time": 3.0, "synapse_time": 3.0, "input_scaling": 2.0}
    scores = {}
    for scaling in (0.3, 0.0):
        model = build("liquid_state_machine", {**fields, "recurrent_scaling": scaling})
        reservoir.fit_readout(model, *delayed(60), ridge=1e-2, washout=10)
        x, y = delayed(20)
        scores[scaling] = ((model.predict(x, verbose=0) > 0.5) == (y > 0.5))[:, 10:].mean()
    assert scores[0.3] > 0.85 > 0.65 > scores[0.0]


@BOTH
def test_gradient_descent_lowers_the_loss_too(name: str, fields: dict[str, Any]) -> None:
    model, y = build(name, fields), np.roll(X, 2, axis=1)[..., [0, 1, 0]]
    model.compile(keras.optimizers.Adam(0.03), "mse")
    losses = model.fit(X, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_impossible_cells_are_refused() -> None:
    for options, message in (
        ({"leak_rate": 0.0}, "leak_rate must be more than 0"),
        ({"connectivity": 1.5}, "connectivity must be .* at most 1"),
        ({"spectral_radius": -0.1}, "spectral_radius must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            EchoStateCell(5, **options)
    assert echo_matrix(3, 0.5, 1.0, np.random.default_rng(0)).dtype == np.float32


def test_the_liquid_stays_in_float32() -> None:
    assert LiquidStateCell(5, dtype="mixed_float16").compute_dtype == "float32"
