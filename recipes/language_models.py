"""What recipes share that learn to go on with a text: their fields, their judgement, what they export and show."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from recipes.errors import UsageError
from recipes.fields import AnyCell, Count, Dropout, Positive, Search
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, recipe_name

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Arrays, Column, Data
    from recipes.language_data import TextRows
    from recipes.report import Section

USUAL = "language_model"
WRITER = "writer"
"""Stem of the files that write by themselves."""
LONGEST: dict[str, int] = {"characters": 256, "words": 64}
"""How many tokens such a file writes at most: its output has a place for each."""
STEPS_AT_ONCE = 1024
"""Logits of so many steps are made small at once: of 10,000 words they are 40 MB."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageModelConfig(RecipeConfig):
    """The settings of a recipe that reads one long text and learns to go on with it."""

    PROMPTS: ClassVar[tuple[str, ...]] = ()
    """What the report's samples go on from; where there are none, two places of the test part."""

    batch_size: Count = 32
    """Places of the text that are read side by side."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    model: str = USUAL
    """The zoo's model: any that scores the next token at each step."""
    cell: AnyCell = "gru"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((128,), (256,), (512,), (256, 256)))] = (256,)
    """Width of each recurrent layer, from the input up."""
    embedding: Count = 64
    """Size of the vector that stands for a token."""
    tied: bool = False
    """Let the embedding be the output layer too (Press & Wolf 2017)."""
    dropout: Dropout = 0.0
    """Share of what each layer reads that is dropped in training."""
    window: Count = 64
    """Steps that gradients flow back; the states are carried on from window to window."""

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Keeps -log p of each target, as `nll`."""
        import numpy as np

        from recipes.teacher_forcing import negative_log_likelihood

        logits = outputs["logits"]
        parts = [slice(at, at + STEPS_AT_ONCE) for at in range(0, targets.shape[1], STEPS_AT_ONCE)]
        nll = [negative_log_likelihood(logits[:, part], targets[:, part]) for part in parts]
        return {"nll": np.concatenate(nll, axis=1)}

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers the model, and a writer: a prompt in, the text that goes on from it out."""
        from recipes.vocabulary import NEVER_WRITTEN
        from recipes.writing import Writer
        from zoo.generation import generator

        rows: Any = data.test
        plain = Deployment(model, example={"token_ids": rows.inputs["token_ids"][0][None, : self.window]})
        try:
            writer = Writer(model, data.metadata)
        except ValueError:  # the zoo has models that can't go on from their own output
            return (plain,)
        longest = LONGEST[data.metadata["tokenisation"]]
        made = generator(model, forbidden=data.metadata[NEVER_WRITTEN], way="sample", max_length=longest, limited=True)
        example = _example(writer.read_prompt(rows.prompts[0]))
        measure = _compare(writer, self.PROMPTS or rows.prompts)
        return plain, Deployment(made, name=WRITER, metrics=measure, example=example)

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows what the model writes, how far its gradients flow, and how well it knows what it was taught."""
        from recipes import language_report

        return (
            lambda: language_report.samples(model, data, self.PROMPTS),
            lambda: language_report.gradient_flow(model, self.build_model(data), data, self.window),  # type: ignore[attr-defined]
            lambda: language_report.memorised(self, model, data),
        )


def build(recipe: LanguageModelConfig, data: "Data") -> "keras.Model":
    """Builds the model that a recipe names.

    Args:
        recipe: Its settings.
        data: Gives the vocabulary.

    Returns:
        A model that reads `token_ids` (batch, time) into `logits` (batch, time, vocabulary).

    Raises:
        UsageError: The model is another one's, or refuses a setting.
    """
    import zoo
    from recipes import models

    task = {"vocabulary": len(data.metadata["vocabulary"])}
    # A tagger that names the next token is a language model too; one that is given labels, or reads ahead, is not.
    if recipe.model in zoo.list_models() and "classes" in zoo.get_spec(recipe.model).fields:
        task["classes"] = task["vocabulary"]
    model = models.build(recipe, recipe.model, USUAL, task)
    if _reads_ahead(model):
        raise UsageError(
            f"{recipe_name(type(recipe))} can't use {recipe.model}: it reads the tokens that it is to guess"
        )
    return model


def _reads_ahead(model: "keras.Model") -> bool:
    """Whether what the last token is changes what is said before it."""
    import numpy as np

    batch, steps = 2, 6
    # The first row ends with one token, the second with another; nothing else differs.
    tokens = np.ones((batch, steps), "int32")
    tokens[1, -1] = 2
    first, second = np.asarray(model(tokens))[:, :-1]
    return not np.allclose(first, second, atol=1e-6)


def objective() -> Objective:
    """Lowers the cross-entropy of the next token, in nats; the epoch that has it lowest on validation is kept."""
    import keras

    return Objective(keras.losses.SparseCategoricalCrossentropy(from_logits=True), (), "val_loss", "min")


def verdict(outputs: "Mapping[str, Column]", split: "TextRows") -> Verdict:
    """Says how surprised a model was by the test part.

    Args:
        outputs: `nll`, -log p of each target.
        split: The rows.

    Returns:
        Nats and bits for each character, or the perplexity and nats for each word.
    """
    import math

    from recipes.teacher_forcing import perplexity

    value = perplexity(outputs["nll"])
    nats = math.log(value)
    if split.tokenisation == "words":
        metrics = {"perplexity": value, "nats_per_word": nats}
    else:
        metrics = {"nats_per_character": nats, "bits_per_character": nats / math.log(2)}

    def surprise() -> "Section":
        from recipes import language_report

        return language_report.surprise(outputs["nll"], split)

    return Verdict(metrics, (surprise,))


def _example(prompt: "np.ndarray") -> dict[str, Any]:
    import numpy as np

    # Time is measured on a text of fixed length.
    controls = {"seed": np.zeros(1, "int32"), "temperature": np.ones(1, "float32")}
    return {"token_ids": prompt, **controls, "max_tokens": np.full(1, 32, "int32")}


def _compare(writer: Any, prompts: tuple[str, ...]) -> Callable[[Any], dict[str, float]]:
    def metrics(path: Any) -> dict[str, float]:
        import export
        from recipes.language_report import TEMPERATURES

        write, options = export.TextGenerator(path), {"seed": 1, "max_tokens": 50}
        texts = [
            write(prompt, temperature=heat, **options) == writer(prompt, temperature=heat, **options)
            for prompt in prompts
            for heat in TEMPERATURES
        ]
        return {"same_text": sum(texts) / len(texts)}

    return metrics
