"""Variables and random numbers of models that several replicas hold."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

_APART = 1_000_003
"""How far the seeds of two replicas are from each other."""


def creator(make: Callable[..., Any], **options: Any) -> Any:
    """Makes variables that Keras doesn't make for several replicas; for `tf.variable_creator_scope`.

    Args:
        make: The next creator.
        **options: What Keras asks for.

    Returns:
        The variable.
    """
    name = str(options.get("name"))
    if name == "rnn_state":
        # The state carried from batch to batch: each replica's rows have their own.
        options["synchronization"] = tf.VariableSynchronization.ON_READ
        options["aggregation"] = tf.VariableAggregation.SUM
    elif "seed_generator" in name:
        # All replicas count alike; TensorFlow must be told that any of them will do.
        options["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return make(**options)


_SAME_SEED = keras.random.SeedGenerator.next


def next_seed(generator: keras.random.SeedGenerator, ordered: bool = True) -> Any:
    """Draws a seed as `SeedGenerator.next` does, another one in each replica.

    Args:
        generator: Keras's, with the same state in all replicas.
        ordered: As Keras takes it.

    Returns:
        (2,) integers.
    """
    seed = _SAME_SEED(generator, ordered)
    replica = tf.distribute.get_replica_context()
    if replica is None:
        return seed
    return seed + tf.stack([tf.cast(replica.replica_id_in_sync_group, seed.dtype) * _APART, 0])
