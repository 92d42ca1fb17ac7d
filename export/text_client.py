"""A client for artifacts that write sequences: text in, text out. Needs the artifact's runtime and NumPy only.

The artifact's metadata say what its numbers stand for, as they were given to `export_model`:

    vocabulary          a list of the tokens, each at the place of its id
    tokenisation        "characters" or "words": how text falls into tokens
    source_vocabulary   of an encoder that reads another language; else it reads the vocabulary too
    start_id            stands before every prompt; may be left out
    end_id              ends what is written; left out of the text
    padding_id          fills up what is too short; 0 where it is left out
    unknown_id          stands for what the vocabulary lacks; where it is left out, that is an error
"""

import dataclasses
import difflib
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import ArtifactError
from export.ports import Port
from export.runtimes import load_runtime

_PROMPTS = ("token_ids", "decoder_token_ids")
_SOURCE = "encoder_token_ids"
_GLUE = {"characters": "", "words": " "}
_LONGEST_LIST = 8


@dataclasses.dataclass(frozen=True)
class Written:
    """One text that was written.

    Attributes:
        text: The text, without the prompt and the end.
        score: What it is ranked by: log p over the length penalty in a beam search, else log p.
        token_ids: Its tokens, the end included.
    """

    text: str
    score: float
    token_ids: tuple[int, ...]


class TextGenerator:
    """Writes text with an artifact that decodes by itself.

    Example:
        write = export.TextGenerator("translator.tflite")
        write("how are you")
        for found in write.n_best("how are you"): print(found.score, found.text)
    """

    def __init__(self, artifact: Any, *, threads: int = 1) -> None:
        """Loads the artifact.

        Args:
            artifact: An `Artifact` or the path of one, exported from a model that gives `generated_ids` and `lengths`,
                as `zoo.generation.generator` makes it, with a `vocabulary` and a `tokenisation` in its metadata.
            threads: How many threads one call may use.

        Raises:
            ArtifactError: The artifact writes no sequences, has no vocabulary, or can't be read.
        """
        path = Path(getattr(artifact, "path", artifact))
        self._runtime, self._name = load_runtime(path, threads), path.name
        given = {port.name for port in self._runtime.outputs}
        if missing := {"generated_ids", "lengths", "log_probabilities"} - given:
            raise ArtifactError(
                f"{self._name} writes no sequences: it has no output {min(missing)!r}; export a generator, "
                "as zoo.generation.generator makes it of a language model"
            )
        info = self._runtime.metadata
        self._tokens = self._vocabulary("vocabulary")
        source = "source_vocabulary" if "source_vocabulary" in info else "vocabulary"
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        self._source_ids = {token: i for i, token in enumerate(self._vocabulary(source))}
        self._tokenisation = info.get("tokenisation")
        if self._tokenisation not in _GLUE:
            raise ArtifactError(
                f"{self._name} says tokenisation {self._tokenisation!r}; export it with metadata "
                "tokenisation='characters' or 'words'"
            )

    def __call__(self, text: str | None = None, **options: Any) -> str:
        """Writes the best text; see `n_best`."""
        return self.n_best(text, **options)[0].text

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the artifact's inputs: of what it can be given, such as `temperature`."""
        return tuple(port.name for port in self._runtime.inputs)

    def n_best(
        self,
        text: str | None = None,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        max_tokens: int | None = None,
        **inputs: Any,
    ) -> list[Written]:
        """Writes, and gives all that was found, the best first: several texts of a beam search, else one.

        Args:
            text: The prompt to go on from, or the source to translate; None where the model reads no text.
            seed: For an artifact that draws its tokens: the same seed writes the same text in every format.
            temperature: For one with this input: below 1 it draws likelier tokens, 0 takes the likeliest.
            max_tokens: For one with this input: how many tokens to write at most.
            **inputs: The model's other inputs by name, such as a picture, without batch axis or with it.

        Returns:
            What was written.

        Raises:
            ArtifactError: An input is missing or does not fit, or the vocabulary lacks a token.
        """
        controls = {"seed": seed, "temperature": temperature, "max_tokens": max_tokens}
        arrays: dict[str, np.ndarray] = {}
        for port in self._runtime.inputs:
            if port.name in (*_PROMPTS, _SOURCE) and port.name not in inputs:
                arrays[port.name] = self._read(port, text)
            elif port.name in controls:
                value = controls[port.name] if controls[port.name] is not None else np.iinfo(np.int32).max
                arrays[port.name] = np.full(1, value, port.dtype)
            elif port.name in inputs:
                arrays[port.name] = _one(port, inputs.pop(port.name))
        found = self._runtime({**arrays, **inputs})
        scores = found.get("scores", found["log_probabilities"])
        # (1, length), or (1, n_best, length) of a beam search
        rows = found["generated_ids"].reshape(-1, found["generated_ids"].shape[-1])
        if max_tokens is not None and max_tokens > rows.shape[1]:
            raise ArtifactError(f"{self._name} has room for {rows.shape[1]} tokens; max_tokens is {max_tokens}")
        lengths = found["lengths"].reshape(-1)
        return [
            Written(self._text(ids[:length]), float(score), tuple(map(int, ids[:length])))
            for ids, length, score in zip(rows, lengths, scores.reshape(-1), strict=True)
        ]

    def _vocabulary(self, key: str) -> list[str]:
        tokens = self._runtime.metadata.get(key)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            problem = "has no" if tokens is None else "has no list of texts as"
            raise ArtifactError(
                f"{self._name} {problem} {key!r} in its metadata; export it with metadata={{'{key}': [...], "
                "'tokenisation': 'words', 'start_id': 1, 'end_id': 2}"
            )
        return tokens

    def _read(self, port: Port, text: str | None) -> np.ndarray:
        """Text -> (1, time) token ids."""
        if text is None:
            raise ArtifactError(f"{self._name} needs a text: its input {port.name!r} holds tokens")
        known = self._source_ids if port.name == _SOURCE else self._ids
        ids = [self._id(token, known) for token in (text.split() if self._tokenisation == "words" else text)]
        info = self._runtime.metadata
        if port.name != _SOURCE and info.get("start_id") is not None:
            ids.insert(0, info["start_id"])
        if not ids:
            raise ArtifactError(f"{self._name} needs a text of one token at least, not {text!r}")
        length = port.shape[1] or len(ids)
        if len(ids) > length:
            raise ArtifactError(f"{self._name} reads {length} tokens at most, the text has {len(ids)}; shorten it")
        return np.array([ids + [info.get("padding_id", 0)] * (length - len(ids))], port.dtype)

    def _id(self, token: str, known: dict[str, int]) -> int:
        unknown = self._runtime.metadata.get("unknown_id")
        if token in known or unknown is not None:
            return known.get(token, int(unknown or 0))
        near = difflib.get_close_matches(token, known, 1)
        if near:
            hint = f"did you mean {near[0]!r}?"
        else:
            names = ", ".join(map(repr, list(known)[:_LONGEST_LIST]))
            hint = f"its {len(known)} tokens are {names}" + (" ..." if len(known) > _LONGEST_LIST else "")
        raise ArtifactError(f"{self._name} does not know the token {token!r}; {hint}")

    def _text(self, ids: np.ndarray) -> str:
        end = self._runtime.metadata.get("end_id")
        kept = [int(i) for i in ids if i != end]
        if kept and max(kept) >= len(self._tokens):
            raise ArtifactError(
                f"{self._name} wrote token {max(kept)}, its vocabulary has {len(self._tokens)}; export it with all"
            )
        return _GLUE[str(self._tokenisation)].join(self._tokens[i] for i in kept)


def _one(port: Port, value: Any) -> np.ndarray:
    """An input of one row."""
    array = np.asarray(value, port.dtype)
    return array if array.ndim == len(port.shape) else array[np.newaxis]
