"""What it saves not to walk every step: resting modules, outputs that are known beforehand.

`python -m benchmarks.time_axis`.
"""

import functools
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.interleaved import medians, table

STEPS = 512
PERIODS = ((1, 2, 3, 4), (1, 2, 4, 8), (8, 16, 32, 64), (32, 64, 128, 256))


def clockwork(units: int = 32, batch: int = 16) -> str:
    """Times the forward pass of clockwork networks of one size whose modules rest more and more.

    Args:
        units: Width of each of the four modules.
        batch: Sequences at once.

    Returns:
        A Markdown table, the plain RNN of as many units first.
    """
    x = tf.constant(np.random.default_rng(0).normal(size=(batch, STEPS, 4)), "float32")
    fields: dict[str, Any] = {"features": 4, "classes": 2}
    plain = zoo.create_model("sequence_tagger", **fields, cell="simple_rnn", units=(units * len(PERIODS[0]),))
    models = {"plain RNN": plain}
    models |= {str(each): zoo.create_model("clockwork_rnn", **fields, units=units, periods=each) for each in PERIODS}
    calls = {name: functools.partial(tf.function(model), x) for name, model in models.items()}
    times = medians(calls, clock=time.process_time)
    steps = {str(each): sum(-(-STEPS // period) for period in each) for each in PERIODS}
    rows = [
        [name, steps.get(name, STEPS), models[name].count_params(), f"{each / 1000:.1f}"]
        for name, each in times.items()
    ]
    return table([f"periods, {STEPS} steps", "module steps", "weights", "ms"], rows)


def teacher_forcing(units: int = 64, batch: int = 16) -> str:
    """Times a training step with the true outputs given, all steps at once, against one that runs on its own.

    Args:
        units: Width of the hidden layer.
        batch: Sequences at once.

    Returns:
        A Markdown table.
    """
    rng, rows = np.random.default_rng(0), []
    for recurrence in ("output-to-hidden", "output-to-output"):
        for steps in (50, 200, 800):
            x, y = (rng.normal(size=(batch, steps, size)).astype("float32") for size in (4, 2))
            calls = {
                forced: functools.partial(_model(recurrence, units, forced).train_on_batch, inputs, y)
                for forced, inputs in ((False, x), (True, {"features": x, "true_outputs": y}))
            }
            times = medians({str(forced): call for forced, call in calls.items()}, clock=time.process_time)
            free, parallel = times["False"] / 1000, times["True"] / 1000
            rows.append([recurrence, steps, f"{free:.1f}", f"{parallel:.1f}", f"{free / parallel:.1f}"])
    return table(["recurrence", "steps", "step by step, ms", "teacher forcing, ms", "times faster"], rows)


def _model(recurrence: str, units: int, forced: bool) -> keras.Model:
    fields: dict[str, Any] = {"features": 4, "targets": 2, "units": units, "recurrence": recurrence}
    model = zoo.create_model("output_recurrent", **fields, teacher_forcing=forced)
    model.compile("sgd", "mse")
    return model


if __name__ == "__main__":
    # One thread, so that processor time is what a run takes on a machine that does nothing else.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(clockwork(), flush=True)
    print(teacher_forcing(), flush=True)
