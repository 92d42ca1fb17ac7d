"""`seqzoo generate RUN`: text as it is written, by a run's model or by a file that writes."""

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any

import tyro

from recipes.commands.command import Command, print_json
from recipes.errors import RecipeError, UsageError

STOPPED = 130
"""The exit code of what Ctrl-C has ended."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Command):
    """Write text with a run's model or an exported generator: go on from a prompt, translate a source."""

    source: Annotated[Path, tyro.conf.Positional]
    """A run's folder, whose model's text is shown as it comes until Ctrl-C; or an exported file, docs/generation.md."""
    prompt: str | None = None
    """The text to go on from, or to translate."""
    inputs: Path | None = None
    """What the model reads besides, such as a picture: arrays by name, an .npz file."""
    label: str | None = None
    """What a run's model that reads a label is to write for, such as a language for a name."""
    seed: int = 0
    """Where tokens are drawn: the same seed writes the same text."""
    temperature: float | None = None
    """Below 1 draws likelier tokens, 0 takes the likeliest; 1 unless given, or 0 where a run's model translates."""
    max_tokens: int | None = None
    """How many tokens to write at most; unless given all that a file has room for, or 500 of a run's model."""

    def execute(self) -> int:
        """Prints the text; as JSON all that was found, with scores."""
        self._check()
        # A SavedModel is a folder too.
        if self.source.is_dir() and self.source.suffix != ".saved_model":
            return self._stream()
        if self.label is not None:
            raise UsageError("--label goes with a run's folder; give an exported file the array, --inputs FILE")
        import export

        write = export.TextGenerator(self.source)
        self._refuse_idle(write.inputs)
        found = write.n_best(
            self.prompt,
            seed=self.seed,
            temperature=1.0 if self.temperature is None else self.temperature,
            max_tokens=self.max_tokens,
            **self._arrays(),
        )
        if self.json:
            print_json([dataclasses.asdict(written) for written in found])
        else:
            print(found[0].text)
        return 0

    def _refuse_idle(self, inputs: tuple[str, ...]) -> None:
        """What a file does not take would be ignored."""
        for option in ("seed", "temperature", "max_tokens"):
            if self.is_typed(option) and option not in inputs:
                name = option.replace("_", "-")
                raise UsageError(f"--{name} has no effect: {self.source.name} has no input {option!r}; leave it out")
        if self.prompt is not None and not any(name.endswith("token_ids") for name in inputs):
            raise UsageError(f"--prompt has no effect: {self.source.name} reads no text; leave it out")

    def _stream(self) -> int:
        from recipes.writing import writer_of_run

        tokens = writer_of_run(self.source).tokens(
            self.prompt,
            seed=self.seed,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            inputs=self._arrays(),
            label=self.label,
        )
        written, code = [], 0
        try:
            for token in tokens:
                written.append(token)
                if not self.json:
                    print(token.text, end="", flush=True)
        except KeyboardInterrupt:
            # What was written is what was wanted: an endless text has no other end.
            code = STOPPED
        if self.json:
            score = sum(token.log_probability for token in written)
            text, ids = "".join(token.text for token in written), [token.token_id for token in written]
            print_json([{"text": text, "score": score, "token_ids": ids}])
        else:
            print(flush=True)
        return code

    def _check(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"--seed must be at least 0 and below 2147483648; got {self.seed}")
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(f"--temperature must be a number, at least 0; got {self.temperature:g}")
        if self.max_tokens is not None and not 1 <= self.max_tokens < 2**31:
            raise UsageError(f"--max-tokens must be at least 1; got {self.max_tokens}")

    def _arrays(self) -> dict[str, Any]:
        if self.inputs is None:
            return {}
        import numpy as np

        try:
            with np.load(self.inputs, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError) as error:
            raise RecipeError(f"cannot read {self.inputs} as an .npz file of arrays") from error
