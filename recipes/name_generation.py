"""Surnames, one character at a time, given a language."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from recipes.fields import Cell, Count, Dropout, LearningRate, Search
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Arrays, Column, Data, Split
    from recipes.report import Section

MODEL, GENERATOR = "vector_to_sequence", "writer"
TEMPERATURES = (0.5, 0.8, 1.0)
NAMES = 4
"""How many names the report shows of each language at each temperature."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class NameGeneration(RecipeConfig):
    """Surnames: writes a name of a given language, character by character.

    The data are 20,050 surnames of 18 languages (Robertson 2017, github.com/spro/practical-pytorch); a tenth of each
    language's chooses the epoch, another tests, and a name that several people have is all in one part.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"full": {"units": (512, 512), "epochs": 60, "dropout": 0.5}}

    epochs: Count = 20
    """Passes over the training data."""
    learning_rate: LearningRate = 0.004
    """Step size of Adam at the start."""
    model: str = MODEL
    """The model, any of the zoo from a vector to a sequence of tokens."""
    cell: Cell = "lstm"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((64,), (128,), (256,)))] = (128,)
    """Width of each recurrent layer, from the input up."""
    context: Annotated[Literal["input", "state", "both"], Search()] = "both"
    """How the language comes in: beside each character, as the first state, or both."""
    embedding: Count = 32
    """Size of the vector that stands for a character."""
    dropout: Dropout = 0.3
    """Share of what each layer reads that is dropped in training."""
    data_dir: str | None = None
    """Folder with the raw files, names/LANGUAGE.txt; unless given TFDS loads them."""

    def load_data(self) -> "Data":
        """Reads the names of the three parts; the characters are those of the training part."""
        import numpy as np

        from recipes import datasets
        from recipes.data import Data
        from recipes.teacher_forcing import generator_metadata, teacher_forced
        from recipes.text import TextSplit
        from recipes.vocabulary import Vocabulary

        splits = datasets.load("names_by_language", self.data_dir)
        letters = Vocabulary.of([list(example["name"]) for example in splits["train"]])
        languages = tuple(sorted({example["language"] for example in splits["train"]}))

        def split(part: str) -> TextSplit:
            names = [example["name"] for example in splits[part]]
            rows = [languages.index(example["language"]) for example in splits[part]]
            read, write = teacher_forced([list(name) for name in names], letters)
            inputs = {"vector": np.eye(len(languages), dtype="float32")[rows], "token_ids": read}
            return TextSplit(inputs, write, names, languages)

        train = split("train")
        return Data(
            train=train,
            validation=split("validation"),
            test=split("test"),
            summary="surnames of 18 languages, 80/10/10 within each",
            labels=languages,
            preprocessing={
                "vector": "1 at the language's place in labels, else 0",
                "token_ids": "start_id, then each character's place in vocabulary, unknown_id for what is not there",
            },
            metadata=generator_metadata(letters, train.targets) | {"tokenisation": "characters"},
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `vector` (batch, 18) and `token_ids` (batch, time) to `logits`."""
        from recipes import models

        task = {"features": len(data.labels), "vocabulary": len(data.metadata["vocabulary"])}
        return models.build(self, self.model, MODEL, task)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of the next character; the epoch that has it lowest on validation is kept."""
        from recipes import teacher_forcing

        return teacher_forcing.objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Says how surprised the model was by each character of the test names, the end among them."""
        import math

        from recipes import teacher_forcing

        perplexity = teacher_forcing.perplexity(outputs["nll"])
        metrics = {"nats_per_character": math.log(perplexity), "perplexity": perplexity}
        return Verdict(metrics, (lambda: _by_language(outputs["nll"], split),))

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Keeps -log p of each target, as `nll`."""
        from recipes import teacher_forcing

        return {"nll": teacher_forcing.negative_log_likelihood(outputs["logits"], targets)}

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers the model, and a writer: a language in, a name out."""
        import numpy as np

        from recipes.vocabulary import END, NEVER_WRITTEN, START
        from recipes.writing import Writer
        from zoo.generation import generator

        longest = int(data.train.targets.lengths.max())
        made = generator(
            model, forbidden=data.metadata[NEVER_WRITTEN], way="sample", max_length=longest, start_id=START, end_id=END
        )
        vectors = np.eye(len(data.labels), dtype="float32")
        example = {"vector": vectors[:1], "seed": np.zeros(1, "int32"), "temperature": np.ones(1, "float32")}
        measure = _compare(Writer(model, data.metadata), vectors, longest)
        return Deployment(model), Deployment(made, name=GENERATOR, metrics=measure, example=example)

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows names of each language at three temperatures."""
        return (lambda: _samples(model, data),)


def _compare(writer: Any, vectors: "np.ndarray", longest: int) -> Callable[[Any], dict[str, float]]:
    def metrics(path: Any) -> dict[str, float]:
        import export

        write, options = export.TextGenerator(path), {"seed": 1, "temperature": 1.0}
        names = [
            write(vector=vector, **options)
            == writer(inputs={"vector": vector}, max_tokens=longest, **options)
            for vector in vectors
        ]  # fmt: skip
        return {"same_name": sum(names) / len(names)}

    return metrics


def _by_language(nll: Any, split: Any) -> "Section":
    import numpy as np

    from recipes import report

    languages = split.inputs["vector"].argmax(axis=-1)
    total, lengths = np.add.reduceat(nll.values, nll.starts), nll.lengths
    rows = []
    for place, language in enumerate(split.labels):
        own = np.flatnonzero(languages == place)
        if len(own):
            order = own[np.argsort(total[own] / lengths[own])]
            usual, odd = split.texts[order[0]], split.texts[order[-1]]
            rows.append((language, len(own), float(total[own].sum() / lengths[own].sum()), usual, odd))
    table = report.table(("language", "test names", "nats per character", "least surprising", "most surprising"), rows)
    caption = "-log p of each character of the test names given the characters before it and the language."
    return report.Section("Surprise by language", table, caption)


def _samples(model: "keras.Model", data: "Data") -> "Section":
    import numpy as np

    from recipes import report
    from recipes.writing import Writer

    writer, longest = Writer(model, data.metadata), int(data.train.targets.lengths.max())
    known, rows, new = set(data.train.texts), [], dict.fromkeys(TEMPERATURES, 0)
    for place, vector in enumerate(np.eye(len(data.labels), dtype="float32")):
        cells = []
        for heat in TEMPERATURES:
            names = [
                writer(inputs={"vector": vector}, seed=NAMES * place + name, temperature=heat, max_tokens=longest)
                for name in range(NAMES)
            ]
            new[heat] += sum(name not in known for name in names)
            cells.append(", ".join(names))
        rows.append((data.labels[place], *cells))
    table = report.table(("language", *(f"temperature {heat:g}" for heat in TEMPERATURES)), rows)
    shares = ", ".join(f"{count / (NAMES * len(data.labels)):.0%} at {heat:g}" for heat, count in new.items())
    return report.Section("Names that the model wrote", table, f"Not among the names that it was taught: {shares}.")
