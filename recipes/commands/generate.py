"""`seqzoo generate ARTIFACT`: text in, text out, by a file that writes."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from recipes.commands.command import Command, print_json
from recipes.errors import RecipeError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Command):
    """Write text with an exported generator: go on from a prompt, translate a source, describe a picture."""

    artifact: Annotated[Path, tyro.conf.Positional]
    """The exported file; its metadata hold the vocabulary, docs/generation.md."""
    prompt: str | None = None
    """The text to go on from, or to translate."""
    inputs: Path | None = None
    """What the model reads besides, such as a picture: arrays by name, an .npz file."""
    seed: int = 0
    """Where tokens are drawn: the same seed writes the same text."""
    temperature: float = 1.0
    """Where it is an input: below 1 draws likelier tokens, 0 takes the likeliest."""
    max_tokens: int | None = None
    """Where it is an input: how many tokens to write at most."""

    def execute(self) -> int:
        """Prints the best text; as JSON all that was found, with scores."""
        import export

        found = export.TextGenerator(self.artifact).n_best(
            self.prompt,
            seed=self.seed,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            **self._arrays(),
        )
        if self.json:
            print_json([dataclasses.asdict(written) for written in found])
        else:
            print(found[0].text)
        return 0

    def _arrays(self) -> dict[str, Any]:
        if self.inputs is None:
            return {}
        import numpy as np

        try:
            with np.load(self.inputs, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError) as error:
            raise RecipeError(f"cannot read {self.inputs} as an .npz file of arrays") from error
