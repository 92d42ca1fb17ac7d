"""Single steps without a loop around them."""

from typing import Any

import tensorflow as tf

from export.loops import LoopEngine, parts, whole_product
from export.recurrence import CellRun, States
from export.tensors import dims, reshape


class StepEngine(LoopEngine):
    """A while loop over time, but for a sequence of one step, known to be one: that is straight-line code."""

    def form(self, cell: Any) -> tuple[str, str]:
        """-> (the form that this cell takes, why it is not the native one)."""
        return "straight-line step, in a longer chunk a while loop", ""

    def __call__(self, run: CellRun) -> tuple[tf.Tensor | None, tf.Tensor, States]:
        """Runs the step, or the loop; see `recurrence.Engine`."""
        if run.xs.shape[0] != 1 or run.count is not None:
            return super().__call__(run)
        step, project = parts(run, whole_product)
        # Dropping the time axis by a reshape, not by a slice, keeps all of the step in one piece for XNNPACK.
        output, states = step(project(reshape(run.xs, dims(run.xs)[1:])), run.states)
        return tf.expand_dims(output, 0) if run.outputs else None, output, states
