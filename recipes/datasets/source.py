"""What our data sets have in common: a TFDS builder whose files can also be read straight from a folder."""

import csv
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from recipes.datasets.raw import Checksum, Raw, find
from recipes.errors import RecipeError

Example = dict[str, Any]
Splits = dict[str, list[Example]]

BUILDERS: dict[str, type["Source"]] = {}
"""Name -> builder, for each module that was imported."""


class Source(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of ours.

    A subclass says what is its own: where its files are, what its examples hold, how they are read. TFDS downloads and
    prepares it as any other of its sets; `read_folder` reads the same examples from raw files, without a cache, so that
    what the user sees is what the folder holds now.

    Attributes:
        FILES: Name -> public URL. Several files may come in one archive: they have the same URL.
        CONFIGS: Name -> description, where the set comes in several forms; the first is the default.
        ABOUT: One sentence for the table of data sets.
        LICENCE: As the source states it.
        HOMEPAGE: Where it is published.
        CITATION: Whom to cite.
        COUNTS: Form -> how much each split holds, in the splits' order.
        UNIT: What is counted: examples, or where a split is one example (a series, a book) its parts.
    """

    VERSION = tfds.core.Version("1.0.0")
    FILES: ClassVar[Mapping[str, str]]
    CONFIGS: ClassVar[Mapping[str, str]] = {}
    ABOUT: ClassVar[str]
    LICENCE: ClassVar[str]
    HOMEPAGE: ClassVar[str]
    CITATION: ClassVar[str]
    COUNTS: ClassVar[Mapping[str, tuple[int, ...]]]
    UNIT: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.BUILDER_CONFIGS = [
            tfds.core.BuilderConfig(name=name, description=text) for name, text in cls.CONFIGS.items()
        ]
        super().__init_subclass__(**kwargs)
        cls.url_infos = {
            url: tfds.download.checksums.UrlInfo(checksum[0].size, checksum[0].sha256, name)
            for name, url in cls.FILES.items()
            if not _packed(name, url) and (checksum := cls.checksums(name))
        }
        cls.MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {', '.join(cls.FILES)} into a folder {cls.name} in the manual folder."
        BUILDERS[cls.name] = cls

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """Says which files a form of the set is made of.

        Args:
            config: The form's name; empty where there is only one.

        Returns:
            Names from `FILES`; all, if the subclass does not say otherwise.
        """
        return list(cls.FILES)

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """Says what an example holds.

        Args:
            config: The form's name.

        Returns:
            Name -> TFDS feature.
        """
        raise NotImplementedError

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Reads the raw files.

        Args:
            raw: The files.
            config: The form's name.

        Returns:
            Split -> examples, in the order of the files.

        Raises:
            RecipeError: A file is damaged or malformed; names it and the line.
        """
        raise NotImplementedError

    @classmethod
    def checksums(cls, name: str) -> list[Checksum]:
        """Looks up what a file must be.

        Args:
            name: From `FILES`.

        Returns:
            That of the file at the URL first, then those of other copies that hold the same examples.
        """
        return _checksums().get((cls.name, name), [])

    @classmethod
    def read_folder(cls, folder: Path, config: str) -> Splits:
        """Reads the examples straight from a folder with the raw files.

        Args:
            folder: The user's.
            config: The form's name.

        Returns:
            Split -> examples, in the order of the files.

        Raises:
            RecipeError: A file is missing, damaged, malformed or not the published one; says which and where to get it.
        """
        return cls._checked(Raw(cls.name, find(cls.name, cls.needs(config), folder, cls.FILES)), config)

    @classmethod
    def _checked(cls, raw: Raw, config: str) -> Splits:
        # First the reader, which can name the line; what it cannot see, a cut between lines, the checksum does.
        splits = {split: list(examples) for split, examples in cls.read(raw, config).items()}
        for name in raw.paths:
            raw.verify(name, cls.checksums(name))
        return splits

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.ABOUT,
            features=tfds.features.FeaturesDict(self.features(self._config)),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            license=self.LICENCE,
            # The order of lines and rows carries meaning.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Example]]]:
        folder = self._manual(dl_manager)
        if folder.is_dir():
            splits = self.read_folder(folder, self._config)
        else:
            paths = dl_manager.download({name: self.FILES[name] for name in self.needs(self._config)})
            splits = self._checked(Raw(self.name, {name: Path(path) for name, path in paths.items()}), self._config)
        return {split: self._generate_examples(examples) for split, examples in splits.items()}

    def _manual(self, dl_manager: tfds.download.DownloadManager) -> Path:
        # TFDS's own place for files that the user brings: downloads/manual; each set has a folder there.
        try:
            return Path(dl_manager.manual_dir) / self.name
        except AssertionError:  # what TFDS raises where there is none
            return Path(dl_manager.download_dir) / "manual" / self.name

    def _generate_examples(self, examples: list[Example]) -> Iterator[tuple[int, Example]]:
        yield from enumerate(examples)

    @property
    def _config(self) -> str:
        return self.builder_config.name if self.builder_config else ""


def unequal(raw: Raw, names: Iterable[str], counts: Iterable[int]) -> RecipeError:
    """Words that files which belong together differ in length.

    Args:
        raw: The files.
        names: Their names.
        counts: Their numbers of lines.

    Returns:
        The error, to be raised.
    """
    each = ", ".join(f"{count:,} in {raw.place(name)}" for name, count in zip(names, counts, strict=True))
    return RecipeError(f"{raw.dataset}: expected files with the same number of lines, found {each}")


def _packed(name: str, url: str) -> bool:
    # Our checksums are those of the content: of what is packed, `verify` checks them, of the rest TFDS does too.
    return PurePosixPath(url).name != PurePosixPath(name).name


@functools.cache
def _checksums() -> dict[tuple[str, str], list[Checksum]]:
    known: dict[tuple[str, str], list[Checksum]] = {}
    with Path(__file__).with_name("checksums.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            known.setdefault((row["set"], row["file"]), []).append(Checksum(int(row["size"]), row["sha256"]))
    return known
