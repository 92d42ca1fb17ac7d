"""Film reviews as parse trees: how each phrase feels."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from recipes.fields import Count, Dropout, LearningRate, Positive, Search, Share
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Arrays, Column, Data, Split

LABELS = ("very negative", "negative", "neutral", "positive", "very positive")
NEUTRAL = 2
USUAL = "tree_lstm"


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class SentimentTrees(RecipeConfig):
    """Sentiment of phrases: reads a parse tree from its words up, and names the feeling of every phrase on the way.

    The data are the Stanford Sentiment Treebank's 11,855 sentences from film reviews (Socher et al. 2013, EMNLP), with
    a label at every node. No word vectors are brought in from elsewhere. The two-class accuracy is that of the same
    model on the sentences that are not neutral: whether it gives more to the positive classes or to the negative ones.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"full": {"units": 150, "embedding": 300, "epochs": 12}}
    REFERENCE: ClassVar = (
        "five classes 45.7, two 85.4 (RNTN, Socher et al. 2013); 51.0, 88.0 (Tree-LSTM with GloVe, Tai et al. 2015)"
    )

    epochs: Count = 6
    """Passes over the training data."""
    batch_size: Count = 32
    """Trees in a step of training."""
    learning_rate: LearningRate = 2e-3
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    model: str = USUAL
    """A model of the zoo that reads trees."""
    composition: Annotated[Literal["n_ary", "child_sum"], Search()] = "n_ary"
    """Whether left and right child have weights of their own, or their states are added up."""
    units: Annotated[Count, Search(values=(32, 64, 128))] = 64
    """Width of a node's state."""
    embedding: Annotated[Count, Search(values=(32, 64, 128))] = 64
    """Size of the vector that stands for a word."""
    dropout: Dropout = 0.4
    """Share of what nodes read, and of what the logits are made of, that is dropped in training."""
    hidden: Share = 0.05
    """Share of the words that count as unknown in training, so that the model learns what to make of such."""
    data_dir: str | None = None
    """Folder with the raw files of the treebank; unless given, TFDS loads them."""

    def load_data(self) -> "Data":
        """Reads the official parts; the vocabulary is the training part's."""
        from recipes import datasets
        from recipes.data import Data
        from recipes.labelled_trees import TreeSplit, tree_of
        from recipes.vocabulary import UNKNOWN, Vocabulary

        raw = datasets.load("sentiment_treebank", self.data_dir)
        vocabulary = Vocabulary.of([word.lower() for word in example["tokens"]] for example in raw["train"])
        parts = {name: TreeSplit.of([tree_of(example) for example in raw[name]], vocabulary) for name in raw}
        width = max(part.width for part in parts.values())
        return Data(
            **{name: dataclasses.replace(part, width=width) for name, part in parts.items()},
            summary="the Stanford Sentiment Treebank's sentences from film reviews, as binary trees",
            labels=LABELS,
            preprocessing={
                "token_ids": "at a leaf its word in lower case, as its place in vocabulary, 1 where it is not there; "
                "0 at inner nodes; node 0 is nobody, then the leaves from left to right, then level by level",
                "children": "the numbers of each node's two children, 0 for none",
                "schedule": "the numbers of the nodes of each level above the leaves, 0 for none",
            },
            metadata={"vocabulary": list(vocabulary.tokens), "unknown_id": UNKNOWN},
            augment=self._hide if self.hidden else None,
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `token_ids`, `children` and `schedule` to `node_logits` (batch, nodes, 5)."""
        import keras

        # The root is one of the nodes: to train on them is to train on it.
        full = self._build(data)
        inputs = {tensor.name: tensor for tensor in full.inputs}
        return keras.Model(inputs, full.output["node_logits"], name=full.name)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of all nodes; the epoch that names most roots rightly is kept."""
        import keras

        from recipes.labelled_trees import RootAccuracy

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        nodes = keras.metrics.SparseCategoricalAccuracy("node_accuracy")
        return Objective(loss, (RootAccuracy("accuracy"), nodes), "val_accuracy", "max")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the sentences that are named rightly, in five classes and in two, and all nodes."""
        from recipes import tree_figures

        logits, named = outputs["logits"].values, outputs["named"]
        predicted, roots = logits.argmax(axis=-1), split.roots
        felt = roots != NEUTRAL
        metrics = {
            "accuracy": (predicted == roots).mean(),
            "binary_accuracy": (_is_positive(logits) == (roots > NEUTRAL))[felt].mean(),
            "node_accuracy": (named.values == split.targets.values)[_nodes(split)].mean(),
        }
        return Verdict(
            {name: float(value) for name, value in metrics.items()},
            (
                lambda: tree_figures.confusion(roots, predicted, LABELS),
                lambda: tree_figures.by_length(split, named),
                lambda: tree_figures.gallery(split, named, LABELS),
            ),
        )

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Keeps the roots' logits, and the class of each node."""
        # An axis in front keeps the logits apart from what has a value for each node.
        return {"logits": outputs["logits"][:, None], "named": outputs["node_logits"].argmax(axis=-1)}

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers a model that names the whole sentence, `logits`, beside every node, `node_logits`."""
        full = self._build(data)
        full.set_weights(model.get_weights())
        return (Deployment(full),)

    def _build(self, data: "Data") -> "keras.Model":
        from recipes import models

        sizes = {"vocabulary": len(data.metadata["vocabulary"]), "classes": len(LABELS), "return_nodes": True}
        return models.build(self, self.model, USUAL, sizes)

    def _hide(self, inputs: dict[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        from recipes.vocabulary import UNKNOWN

        words = inputs["token_ids"]
        chosen = tf.random.stateless_uniform(tf.shape(words), seed) < self.hidden
        return {**inputs, "token_ids": tf.where((words > 0) & chosen, UNKNOWN, words)}


def _is_positive(logits: "np.ndarray") -> "np.ndarray":
    import numpy as np

    chances = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return chances[:, NEUTRAL + 1 :].sum(axis=-1) > chances[:, :NEUTRAL].sum(axis=-1)


def _nodes(split: "Split") -> "np.ndarray":
    """Which of all labels are of nodes: the first of each tree is node 0's."""
    import numpy as np

    somebody = np.ones(len(split.targets.values), bool)
    somebody[split.targets.starts] = False
    return somebody
