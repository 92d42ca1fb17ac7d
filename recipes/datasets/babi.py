import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = (
    "https://raw.githubusercontent.com/tsajed/chatbot-MemN2N-tensorflow/fbdafbb8d68e8a7618e57528d9c582315519352b/"
    "data/dialog-bAbI-tasks/tasks_1-21_v1-2/"
)
TASKS = (
    "single-supporting-fact",
    "two-supporting-facts",
    "three-supporting-facts",
    "two-arg-relations",
    "three-arg-relations",
    "yes-no-questions",
    "counting",
    "lists-sets",
    "simple-negation",
    "indefinite-knowledge",
    "basic-coreference",
    "conjunction",
    "compound-coreference",
    "time-reasoning",
    "basic-deduction",
    "basic-induction",
    "positional-reasoning",
    "size-reasoning",
    "path-finding",
    "agents-motivations",
)
# The mirror lacks the third task's training file of 10,000 questions.
FORMS = {f"qa{number}": ("en", number) for number in range(1, 21)} | {
    f"qa{number}_10k": ("en-10k", number) for number in range(1, 21) if number != 3
}
LINE = re.compile(r"(?P<id>[0-9]+) (?P<text>[^\t]+)(\t(?P<answer>[^\t]+)\t(?P<support>[0-9 ]+))?")


class Babi(Source):
    """Facebook's bAbI tasks, version 1.2, in English."""

    ABOUT = "Twenty toy tasks: a story, a question, the answer; 1,000 questions, or 10,000 (_10k), to train on"
    LICENCE = "CC BY 3.0"
    HOMEPAGE = "https://research.facebook.com/downloads/babi/"
    CITATION = """@inproceedings{weston2015towards,
  title={Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks},
  author={Weston, Jason and Bordes, Antoine and Chopra, Sumit and Mikolov, Tomas}, year={2015}, eprint={1502.05698}
}"""
    CONFIGS: ClassVar = {
        name: f"{TASKS[number - 1].replace('-', ' ')}, {'10,000' if folder == 'en-10k' else '1,000'} questions"
        for name, (folder, number) in FORMS.items()
    }
    FILES: ClassVar = {
        file: f"{URL}{file}"
        for folder, number in FORMS.values()
        for file in (f"{folder}/qa{number}_{TASKS[number - 1]}_{part}.txt" for part in ("train", "test"))
    }
    COUNTS: ClassVar = {name: (10_000 if name.endswith("_10k") else 1_000, 1_000) for name in FORMS}
    UNIT = "questions"

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """Two files a task."""
        folder, number = FORMS[config]
        return [name for name in cls.FILES if name.startswith(f"{folder}/qa{number}_")]

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`story`: the sentences before the question; `question`; `answer`; `support`: the sentences that tell."""
        return {
            "story": tfds.features.Sequence(tfds.features.Text()),
            "question": tfds.features.Text(),
            "answer": tfds.features.Text(),
            "support": tfds.features.Tensor(shape=(None,), dtype=np.int64),
        }

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the questions."""
        train, test = cls.needs(config)
        return {"train": _questions(raw, train), "test": _questions(raw, test)}


def _questions(raw: Raw, name: str) -> Iterator[Example]:
    story: list[str] = []
    places: dict[int, int] = {}
    last = 0
    for number, line in raw.lines(name):
        found = LINE.fullmatch(line.rstrip())
        if found is None:
            raise raw.error(name, number, "'ID sentence' or 'ID question<TAB>answer<TAB>IDs'", repr(line[:60]))
        if found["id"] == "1":
            story, places = [], {}
        elif int(found["id"]) != last + 1:
            raise raw.error(name, number, f"ID {last + 1} or 1", f"ID {found['id']}")
        last = int(found["id"])
        if found["answer"] is None:
            places[last] = len(story)
            story.append(found["text"].strip())
            continue
        support = [places.get(int(fact), -1) for fact in found["support"].split()]
        if -1 in support:
            raise raw.error(name, number, "IDs of sentences above", repr(found["support"]))
        yield {
            "story": list(story),
            "question": found["text"].strip(),
            "answer": found["answer"],
            "support": np.asarray(support, dtype=np.int64),
        }
