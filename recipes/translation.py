"""German captions of pictures, put into English."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from recipes.fields import Cell, Count, Dropout, LearningRate, Positive, Range, Search
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Arrays, Column, Data, Split
    from recipes.report import Section

USUAL = "attention_encoder_decoder"
WITHOUT = "encoder_decoder"
METRICS = {"bleu": "generated_ids", "bleu_greedy": "greedy_ids"}
"""Metric -> the output that it is of."""
SHOWN = 12
MAPS = 3


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Translation(RecipeConfig):
    """Translation: reads a German sentence, writes it in English, word by word with a beam search.

    The data are the captions of Multi30k (Elliott et al. 2016, doi:10.18653/v1/W16-3210) in lower case, tokenised. BLEU
    is sacrebleu's on these tokens, of the part test_2016_flickr.
    """

    PRESETS: ClassVar = {
        "full": {"epochs": 20, "encoder_units": (512,), "decoder_units": (512,), "embedding": 256, "dropout": 0.5}
    }
    REFERENCE: ClassVar = (
        "GRU with attention: perplexity 25.6, BLEU 28.3; LSTM without: 43.8, 13.8 (bentrevett/pytorch-seq2seq)"
    )

    epochs: Count = 8
    """Passes over the training data."""
    learning_rate: LearningRate = 5e-3
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    model: str = USUAL
    """A model of the zoo that reads one sequence and writes another."""
    attention: Annotated[
        Literal["additive", "multiplicative", "none"], Search(values=("additive", "multiplicative"))
    ] = "additive"
    """How the decoder's states are compared with the encoder's; none: one vector stands for the whole sentence."""
    cell: Cell = "gru"
    """Kind of recurrent layer."""
    encoder_units: tuple[Count, ...] = (128,)
    """Width of each recurrent layer that reads, in each of its two directions."""
    decoder_units: tuple[Count, ...] = (192,)
    """Width of each recurrent layer that writes."""
    bidirectional: bool = True
    """Read the source backwards, too."""
    embedding: Annotated[Count, Search(values=(64, 128, 256))] = 128
    """Size of the vector that stands for a word."""
    embedding_spread: Positive = 0.5
    """Standard deviation of these vectors at the start: with Keras's 0.03 hundreds of steps pass before words count."""
    dropout: Dropout = 0.25
    """Share of what each layer reads that is dropped in training."""
    min_count: Count = 3
    """Words that the training part has less often count as unknown."""
    max_length: Count = 40
    """How many words to write at most."""
    beam_width: Count = 5
    """How many beginnings the beam search keeps."""
    length_penalty: Annotated[float, Range(0)] = 1.0
    """Exponent of the beam search's length penalty: 0 ranks by probability alone, more favours longer sentences."""
    data_dir: str | None = None
    """Folder with the raw files of Multi30k; unless given, TFDS loads them."""

    def load_data(self) -> "Data":
        """Reads the official parts; the vocabularies are the training part's."""
        from recipes import datasets, pairs
        from recipes.data import Data
        from recipes.vocabulary import Vocabulary

        raw = datasets.load("multi30k/tok", self.data_dir)
        texts = {
            (split, side): [example[side].split() for example in raw[split]] for split in raw for side in ("de", "en")
        }
        german, english = (Vocabulary.of(texts["train", side], min_count=self.min_count) for side in ("de", "en"))
        parts = {
            split: pairs.Pairs.of(texts[split, "de"], texts[split, "en"], german, english)
            for split in ("train", "validation", "test")
        }
        return Data(
            **parts,
            summary="Multi30k's captions of pictures, German to English, lower case, tokenised",
            preprocessing={
                "encoder_token_ids": "German in lower case, words and punctuation between single spaces, each token's "
                "place in source_vocabulary, 1 where it is not there"
            },
            metadata=pairs.metadata(german, english, parts["train"].targets),
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds an encoder-decoder from `encoder_token_ids` and `decoder_token_ids` to `logits`."""
        import keras

        model = self._build(data)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Embedding):
                table = layer.embeddings
                table.assign(keras.random.normal(table.shape, stddev=self.embedding_spread))
        return model

    def objective(self) -> Objective:
        """Lowers the cross-entropy of the next word under teacher forcing."""
        from recipes import teacher_forcing

        return teacher_forcing.objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Scores what was written by BLEU, the model by the perplexity of the references."""
        from recipes import teacher_forcing

        bleu, references = _bleu(), [" ".join(tokens) for tokens in split.references]
        written = {
            metric: [" ".join(tokens) for tokens in split.written(outputs[name])]
            for metric, name in METRICS.items()
            if name in outputs
        }
        metrics = {metric: bleu.corpus_score(texts, [references]).score for metric, texts in written.items()}
        if "nll" in outputs:
            metrics["perplexity"] = teacher_forcing.perplexity(outputs["nll"])

        def sentences() -> "Section":
            from recipes import report

            sources = [" ".join(tokens) for tokens in split.sources]
            rows = list(zip(sources, references, *written.values(), strict=True))[:: -(-len(split) // SHOWN)]
            html = report.table(("German", "reference", "beam search", "greedily"), rows)
            return report.Section("Translations", html, f"Test sentences, evenly spread. BLEU: {bleu.get_signature()}.")

        return Verdict(metrics, (sentences,) if len(written) == len(METRICS) else ())

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Keeps the words written, and -log p of each of the reference's words."""
        from recipes import teacher_forcing

        return teacher_forcing.condense(outputs, targets)

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers the model for teacher forcing, and a translator: German in, the beam search's English out."""
        from recipes import teacher_forcing

        generators = {
            teacher_forcing.GENERATED: teacher_forcing.generator(model, data, "beam", self._limits()),
            teacher_forcing.GREEDY: teacher_forcing.generator(model, data, "greedy", {"max_length": self.max_length}),
        }
        return teacher_forcing.deployments(self, model, data, generators, "translator")

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Draws where the model looks while it writes."""
        import zoo

        name, _ = self._names()
        if "return_attention" not in zoo.get_spec(name).fields:
            return ()

        def maps() -> "Section":
            from recipes import pairs, report, teacher_forcing

            attending = self._build(data, return_attention=True)
            attending.set_weights(model.get_weights())
            writes = teacher_forcing.generator(model, data, "beam", self._limits())
            figures = pairs.attention_maps(attending, writes, data.test, MAPS)
            caption = "Test sentences: a row for each word as it is written; its cells are the words that it looks at."
            return report.Section("Attention", figures, caption)

        return (maps,)

    def _names(self) -> tuple[str, str]:
        """The model, and the one whose fields the settings are."""
        usual = WITHOUT if self.attention == "none" else USUAL
        return (usual if self.model == USUAL else self.model), usual

    def _build(self, data: "Data", **options: Any) -> "keras.Model":
        from recipes import models

        name, usual = self._names()
        sizes = {
            "source_vocabulary": len(data.metadata["source_vocabulary"]),
            "target_vocabulary": len(data.metadata["vocabulary"]),
        }
        return models.build(self, name, usual, sizes | options)

    def _limits(self) -> dict[str, Any]:
        return {
            "max_length": self.max_length,
            "beam_width": self.beam_width,
            "length_penalty": self.length_penalty,
        }


def _bleu() -> Any:
    from sacrebleu.metrics import BLEU

    # The tokens are those of the data; `force` keeps sacrebleu from warning that they are tokenised already.
    return BLEU(tokenize="none", force=True)
