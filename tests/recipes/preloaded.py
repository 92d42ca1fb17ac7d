"""What `tests.recipes.members` forks from: everything heavy imported, nothing of TensorFlow used."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import recipes.epochs
import recipes.running
import recipes.strategies  # noqa: F401  # imported once here, for every process forked from this one
