"""The loss of a batch that several replicas share: the sum of their parts is the loss of the whole batch.

A mean over a replica's own examples, averaged over the replicas, is another number as soon as they have different
numbers of examples, or of steps that count. So each replica divides its sum by the number in the whole batch.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from recipes.strategies import Team


@dataclasses.dataclass(frozen=True)
class Share:
    """A replica's share of a batch.

    Attributes:
        inputs: As the model takes them.
        targets: As the losses take them.
        weights: Of the targets, or None.
        real: (rows,) 1 for an example, 0 for a row that stands in where there are fewer examples than replicas.
    """

    inputs: Any
    targets: Any
    weights: Any
    real: Any

    def weights_for(self, outputs: Any) -> Any:
        """Gives metrics their weights, 0 where a row is no example.

        Args:
            outputs: Of the model.

        Returns:
            In the structure of the outputs, each of the given weights' shape, or the output's but the last axis.
        """
        given = _named(self.weights, outputs)
        made = {
            name: _for_rows(self.real, output[..., 0] if given[name] is None else given[name])
            * (1.0 if given[name] is None else given[name])
            for name, output in _named(outputs, outputs).items()
        }
        if isinstance(outputs, Mapping):
            return made
        return list(made.values()) if isinstance(outputs, (list, tuple)) else made[None]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a replica adds to a batch's loss, before it is divided.

    Attributes:
        sums: The weighted sum of each loss.
        sizes: What the sum over all replicas of each is divided by; None where a loss is a sum.
        extra: The losses that layers add, a mean over this replica's rows.
        rows: How many examples this replica has.
    """

    sums: list[Any]
    sizes: list[Any]
    extra: Any
    rows: Any

    def shared(self, team: Team, vote: Any) -> tuple[Any, Any, Any]:
        """Divides by the sizes of the whole batch.

        Args:
            team: The replicas; each calls this.
            vote: A number to add up on the way.

        Returns:
            This replica's part of the loss, the examples in the whole batch, the sum of the votes.
        """
        sizes = [1.0 if size is None else size for size in self.sizes]
        totals = team.sum([ops.stack([ops.cast(each, "float32") for each in (*sizes, self.rows, vote)])])[0]
        loss = self.extra * self.rows / totals[-2]
        for index, value in enumerate(self.sums):
            loss += value if self.sizes[index] is None else ops.divide_no_nan(value, totals[index])
        return loss, totals[-2], totals[-1]


def parts(model: keras.Model, loss: Any, share: Share, outputs: Any, *, training: bool) -> Parts:
    """Computes what a replica adds to a batch's loss.

    Args:
        model: Whose layers may add losses, or which computes its loss itself.
        loss: A Keras loss, or one for each output, in the outputs' structure; a model that computes its own has none.
        share: The replica's.
        outputs: Of the model.
        training: Whether it is trained.

    Returns:
        The parts.
    """
    rows = ops.sum(share.real)
    if loss is None:
        weights = share.real if share.weights is None else share.weights * _for_rows(share.real, share.weights)
        own = model.compute_loss(
            x=share.inputs, y=share.targets, y_pred=outputs, sample_weight=weights, training=training
        )
        size = ops.sum(weights)
        return Parts([own * size], [size], 0.0, rows)
    losses, targets, weights = (_named(each, outputs) for each in (loss, share.targets, share.weights))
    each = [
        _one(as_loss(losses[name]), targets[name], output, weights[name], share.real)
        for name, output in _named(outputs, outputs).items()
        if losses[name] is not None
    ]
    extra = sum(ops.sum(each) for each in model.losses) if model.losses else 0.0
    return Parts([value for value, _ in each], [size for _, size in each], extra, rows)


def as_loss(loss: Any) -> keras.losses.Loss:
    """Makes an object of a loss that is named or a function.

    Args:
        loss: As `Model.compile` takes it.

    Returns:
        A Keras loss.
    """
    return loss if isinstance(loss, keras.losses.Loss) else _OfFunction(keras.losses.get(loss))


class _OfFunction(keras.losses.Loss):
    """The mean of a function's values."""

    def __init__(self, function: Any) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Calls the function; targets without the last axis of 1 get it, as `Model.compile` sees to."""
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        return self.function(y_true, y_pred)


def _one(loss: keras.losses.Loss, targets: Any, outputs: Any, weights: Any, real: Any) -> tuple[Any, Any]:
    """A loss's weighted sum, and what it is divided by."""
    mask = getattr(outputs, "_keras_mask", None)  # where Keras's losses look for it too
    # What `Loss.__call__` does before it weights and reduces.
    values = loss.call(*(ops.convert_to_tensor(each, dtype=loss.dtype) for each in (targets, outputs)))
    counted = _for_rows(real, values)
    if mask is not None:
        counted *= ops.cast(mask, counted.dtype)
    weighted = counted if weights is None else counted * ops.cast(weights, counted.dtype)
    # What does not count may be no number.
    total = ops.sum(ops.where(counted > 0, values, 0.0) * weighted)
    if loss.reduction == "sum":
        return total, None
    return total, ops.sum(weighted if loss.reduction == "mean_with_sample_weight" else counted)


def _for_rows(real: Any, like: Any) -> Any:
    """(rows,) -> the shape of another tensor with as many rows."""
    shape = ops.shape(like)
    column = ops.reshape(real, (-1, *[1] * (len(like.shape) - 1)))
    return ops.broadcast_to(column, shape)


def _named(each: Any, outputs: Any) -> dict[Any, Any]:
    """Output's name, place or None -> its part; what is given once is for every output."""
    if isinstance(outputs, Mapping):
        return {name: each[name] if isinstance(each, Mapping) else each for name in outputs}
    if isinstance(outputs, (list, tuple)):
        many = isinstance(each, (list, tuple))
        return {place: each[place] if many else each for place in range(len(outputs))}
    return {None: each}
