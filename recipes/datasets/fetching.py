"""Where a data set's examples come from: the user's folder, what TFDS has prepared, or the network."""

import contextlib
import http.client
import importlib
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from recipes.datasets.source import BUILDERS, Example, Source, Splits
from recipes.errors import RecipeError, UsageError, first_line
from recipes.fields import near_match
from recipes.files import read_json

REACH_SECONDS = 5.0
"""How long a server may take to answer at all."""
REMOVE_SECONDS = 2.0
"""How long what a failed download leaves is removed again and again."""


def load_own(base: str, config: str, data_dir: str | None) -> Splits:
    """Loads a data set that has a builder of ours.

    Args:
        base: Its name, which its module's is.
        config: The form; empty: the default one.
        data_dir: A folder with the raw files; None: through TFDS.

    Returns:
        Split -> examples.

    Raises:
        UsageError: There is no such form.
        RecipeError: See `load`.
    """
    source = builder_of(base)
    if config and not source.CONFIGS:
        raise UsageError(f"data set {base!r} has one form only: leave {'/' + config!r} out")
    if config and config not in source.CONFIGS:
        raise UsageError(f"data set {base!r} has no form {config!r}{near_match(config, source.CONFIGS)}")
    config = config or next(iter(source.CONFIGS), "")
    if data_dir is None:
        return _prepared(source(config=config or None), _by_hand(source, config))
    try:
        return source.read_folder(Path(data_dir).expanduser(), config)
    except RecipeError as error:
        raise RecipeError(
            f"{error}; get it from {_origin(source, config)}, or leave --data-dir out to let TFDS download it (needs "
            "the network)"
        ) from error


def load_tfds(name: str, data_dir: str | None) -> Splits:
    """Loads a data set that TFDS has.

    Args:
        name: With its form.
        data_dir: The TFDS folder that holds it prepared; None: TFDS's own, into which it is downloaded if need be.

    Returns:
        Split -> examples.

    Raises:
        RecipeError: See `load`.
    """
    if data_dir is None:
        return _prepared(tfds.builder(name), f"with {name} as TFDS prepares it")
    folder = Path(data_dir).expanduser()
    # Of a set with forms, a name without one means the default form, as TFDS wrote it down beside the forms.
    form = _default_form(folder / name)
    versions = sorted((folder / name / form).glob("*/dataset_info.json"), key=_version)
    if not versions:
        raise RecipeError(
            f"{name}: there is no {name}/VERSION/dataset_info.json in {folder}: give the TFDS folder that holds it "
            "prepared, or leave --data-dir out to let TFDS download it (needs the network)"
        )
    return _examples(tfds.builder_from_directory(versions[-1].parent))


def builder_of(base: str) -> type[Source]:
    """Looks a builder of ours up.

    Args:
        base: The set's name.

    Returns:
        The class.
    """
    importlib.import_module(f"recipes.datasets.{base}")
    return BUILDERS[base]


def _prepared(builder: tfds.core.DatasetBuilder, by_hand: str) -> Splits:
    if not builder.data_path.exists():
        if not (_root(builder) / "downloads" / "manual" / builder.name).is_dir():
            _reach(builder, by_hand)
        if not sys.stderr.isatty():
            tfds.disable_progress_bar()
        # TFDS prints what it does; standard output is the command's.
        with _downloading(builder, by_hand), contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return _examples(builder)


def _reach(builder: tfds.core.DatasetBuilder, by_hand: str) -> None:
    # TFDS retries for minutes where there is no network: ask once, before it makes any folder.
    url = next(iter(_urls(builder)))
    try:
        # The system's proxies apply, as they do to TFDS.
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=REACH_SECONDS):
            return
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code not in (403, 405, 429):
            raise _missing(builder, by_hand, f"{url} answered {error.code} {error.reason}") from error
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = first_line(error.reason) if isinstance(error, urllib.error.URLError) else first_line(error)
        raise _missing(builder, by_hand, f"{url} cannot be reached ({reason})") from error


def _missing(builder: tfds.core.DatasetBuilder, by_hand: str, why: str) -> RecipeError:
    return RecipeError(
        f"{builder.info.full_name} is not in {builder.data_path} and {why}: connect to the network to let TFDS "
        f"download it, or give --data-dir FOLDER {by_hand}"
    )


@contextlib.contextmanager
def _downloading(builder: tfds.core.DatasetBuilder, by_hand: str) -> Iterator[None]:
    made = [path for path in _folders(builder) if not path.exists()]
    try:
        yield
    except BaseException as error:
        # Ctrl-C leaves no half-prepared folder either.
        for path in made:
            _remove(path)
        if isinstance(error, RecipeError) or not isinstance(error, Exception):
            raise
        raise _missing(builder, by_hand, f"its download failed: {first_line(error)}") from error


def _remove(folder: Path) -> None:
    # Downloads that run beside the failed one may still put a file where one was just removed.
    end = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def _folders(builder: tfds.core.DatasetBuilder) -> list[Path]:
    # The outermost first.
    root, downloads = _root(builder), _root(builder) / "downloads"
    inner = list(Path(builder.data_path).relative_to(root).parents)[-2::-1]
    return [root, *(root / path for path in inner), downloads, downloads / builder.name, downloads / "extracted"]


def _root(builder: tfds.core.DatasetBuilder) -> Path:
    # root/name/config/version
    return Path(builder.data_path).parents[2 if builder.builder_config else 1]


def _urls(builder: tfds.core.DatasetBuilder) -> list[str]:
    return list(builder.FILES.values() if isinstance(builder, Source) else builder.url_infos or ())


def _by_hand(source: type[Source], config: str) -> str:
    names = source.needs(config)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"with {', '.join(names[:3])}{more} from {_origin(source, config)}"


def _origin(source: type[Source], config: str) -> str:
    return source.FILES[source.needs(config)[0]].rpartition("/")[0] + "/"


def _default_form(folder: Path) -> str:
    forms = folder / ".config" / "metadata.json"
    return str(read_json(forms).get("default_config_name", "")) if forms.is_file() else ""


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parent.name.split(".") if part.isdecimal())


def _examples(builder: tfds.core.DatasetBuilder) -> Splits:
    splits: Splits = {}
    for split in builder.info.splits:
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
        try:
            splits[split] = [_plain(builder.info.features, row) for row in _rows(dataset)]
        except tf.errors.OpError as error:  # also where records are missing: TFDS knows their number
            raise RecipeError(f"{builder.data_path}: split {split!r} is damaged: {first_line(error)}") from error
    return splits


def _rows(dataset: tf.data.Dataset) -> Iterator[Example]:
    if not all(spec.shape.is_fully_defined() for spec in tf.nest.flatten(dataset.element_spec)):
        yield from tfds.as_numpy(dataset)
        return
    # Many at a time where the shapes allow it: several times as fast.
    for batch in tfds.as_numpy(dataset.batch(1024)):
        names, columns = list(batch), list(batch.values())
        yield from (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _plain(feature: Any, value: Any) -> Any:
    if isinstance(feature, tfds.features.FeaturesDict):
        return {name: _plain(part, value[name]) for name, part in feature.items()}
    if isinstance(feature, tfds.features.Sequence):
        return _sequence(feature.feature, value)
    if isinstance(feature, tfds.features.Text):
        return value.decode("utf-8")
    if isinstance(feature, tfds.features.ClassLabel):
        return feature.names[value]
    return value.item() if np.ndim(value) == 0 else value


def _sequence(feature: Any, values: Any) -> Any:
    listed = isinstance(feature, tfds.features.Text | tfds.features.ClassLabel)
    return [_plain(feature, value) for value in values] if listed else values
