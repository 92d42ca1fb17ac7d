"""Parts of speech, from words and their spelling."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from recipes.recipe import Objective, Verdict, register_recipe
from recipes.tagging import Tagger

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data, Split
    from recipes.tables import Sentence

NO_TAG = "_"


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class PosTagging(Tagger):
    """Parts of speech: names the universal tag of each word of an English sentence, from the word and its spelling.

    The data are TFDS's universal_dependencies/en_ewt: 16,622 sentences of web text, in three parts (Silveira et al.
    2014, aclanthology.org/L14-1067). No vectors that were trained elsewhere.
    """

    REFERENCE: ClassVar = (
        "biLSTM 88.3 % (bentrevett/pytorch-pos-tagging); words and characters about 92 % (Plank et al. 2016)"
    )

    data_dir: str | None = None
    """TFDS folder that holds universal_dependencies prepared; unless given TFDS's own, to which it is downloaded."""

    def load_data(self) -> "Data":
        """Reads the sentences of the three parts."""
        from recipes import datasets, tagged_words

        splits = datasets.load("universal_dependencies/en_ewt", self.data_dir)
        parts = {
            part: [_words(example) for example in splits[name]]
            for part, name in {"train": "train", "validation": "dev", "test": "test"}.items()
        }
        summary = "the English Web Treebank's sentences with their universal parts of speech"
        return tagged_words.tagging_data(self, parts, summary)

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a tagger that reads `token_ids` and `character_ids` into `logits` (batch, time, tags)."""
        from recipes import tagged_words

        return tagged_words.build(self, data)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of each tag, or of all; the epoch that names most of the validation part is kept."""
        from recipes import tagged_words

        return tagged_words.tagging_objective(self)

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the words whose part of speech was named."""
        from recipes import tagged_words

        return tagged_words.verdict(outputs, split, "upos_accuracy")


def _words(example: "Mapping[str, list[str]]") -> "Sentence":
    """Leaves out "don't", which TFDS keeps beside its parts "do" and "n't": only these have a part of speech."""
    from recipes.tables import Sentence

    kept = [place for place, tag in enumerate(example["upos"]) if tag != NO_TAG]
    return Sentence(*([example[name][place] for place in kept] for name in ("tokens", "upos")))
