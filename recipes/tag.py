"""The user's own tagged sentences."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from recipes.errors import UsageError
from recipes.recipe import Objective, Verdict, register_recipe
from recipes.tagging import Tagger

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data, Split


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Tag(Tagger):
    """Your own tagged sentences: learns to tag words from a CoNLL-U file or a word and a tag a line, `--conll FILE`.

    A tenth of the sentences is held out to choose the epoch and a tenth to test, equal sentences together; the split is
    the same for every seed.
    """

    OWN_FILE: ClassVar = "conll"

    conll: str | None = None
    """The file: CoNLL-U, or a word and its tag in each line, a blank line after each sentence; perhaps .gz."""
    column: Literal["upos", "xpos", "deprel", "feats", "lemma"] = "upos"
    """What is the tag in a CoNLL-U file."""

    def load_data(self) -> "Data":
        """Reads the file and splits it 80/10/10."""
        from recipes import tables, tagged_words, text

        if self.conll is None:
            raise UsageError("tag needs a file: --conll FILE")
        sentences = tables.read_conllu(self.conll, self.column if "column" in self.given else None)
        tags = {tag for sentence in sentences for tag in sentence.tags}
        if len(tags) < 2:
            raise UsageError(f"{self.conll}: every word has the tag {min(tags)!r}; give words with two tags at least")
        rows = text.split_rows([tuple(sentence.tokens) for sentence in sentences])
        if not all(rows.values()):
            raise UsageError(
                f"{self.conll}: {len(sentences)} sentences are too few to split 80/10/10; give three different ones "
                "at least"
            )
        parts = {part: [sentences[row] for row in own] for part, own in rows.items()}
        summary = f"the {len(sentences):,} sentences of {self.conll} with their tags"
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
        """Counts the words whose tag was named."""
        from recipes import tagged_words

        return tagged_words.verdict(outputs, split, "accuracy")
