"""Our data sets: through TFDS and straight from a folder, whole or broken, with and without a network."""

import contextlib
import functools
import gzip
import http.server
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from recipes import datasets
from recipes.datasets.fetching import builder_of
from recipes.errors import UsageError
from tests.recipes.small_datasets import SMALL, lay_small, refusal, same


@pytest.fixture
def lay(tmp_path, monkeypatch):
    return functools.partial(lay_small, monkeypatch, tmp_path / "raw")


@pytest.fixture
def tfds_folder(tmp_path, monkeypatch):
    """TFDS's own folder, away from the user's."""
    folder = tmp_path / "tfds"
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(folder))
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_every_set_has_a_builder_with_what_tfds_asks_for() -> None:
    small = {name.partition("/")[0] for name in SMALL}
    for name in datasets.OWN:
        source = builder_of(name)
        assert source.name == name
        assert name in small
        assert set(source.COUNTS) == (set(source.CONFIGS) or {""})
        for form in source.COUNTS:
            assert set(source.needs(form)) <= set(source.FILES)
        for file, url in source.FILES.items():
            assert url.startswith("https://")
            for checksum in (checksums := source.checksums(file)):
                assert len(checksum.sha256) == 64
                assert checksum.size > 0
            assert checksums, f"{file} has no checksum"
        builder = source(config=next(iter(source.CONFIGS), None), data_dir="/nowhere")
        assert builder.info.citation
        assert builder.info.homepage.startswith("https://")
        assert builder.info.as_proto.redistribution_info.license == source.LICENCE
        assert builder.info.description


QUICK = ("penn_treebank", "spoken_digits", "classic_series/co2", "piano_rolls/nottingham")
EACH = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]


@pytest.mark.parametrize("name", EACH)
def test_tfds_prepares_what_the_folder_holds(name, lay, tfds_folder, no_network) -> None:
    folder = lay(name, tfds_folder / "downloads" / "manual" / name.partition("/")[0])
    straight = datasets.load(name, str(folder))
    prepared = datasets.load(name)
    assert same(straight, prepared)
    assert all(len(examples) > 0 for examples in straight.values())
    # Prepared once, it needs the files no more.
    for file in folder.rglob("*.*"):
        file.unlink()
    assert same(datasets.load(name), straight)


@pytest.mark.parametrize("name", ["spoken_digits", "multi30k/raw", "sentiment_treebank", "penn_treebank"])
@pytest.mark.parametrize("packing", ["gz", "flat", "tar.xz", "tar.gz", "zip"])
def test_any_packing_gives_the_same(name, packing, lay, tmp_path) -> None:
    folder = lay(name)
    packed = tmp_path / "packed"
    packed.mkdir()
    if packing == "gz" and name == "spoken_digits":
        pytest.skip("recordings come in folders or archives")
    if packing in ("gz", "flat"):
        for file, content in SMALL[name].items():
            path = packed / (file if packing == "gz" else Path(file).name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path = path.with_name(f"{path.name}.gz") if packing == "gz" else path
            path.write_bytes(gzip.compress(content) if packing == "gz" else content)
    elif packing == "zip":
        with zipfile.ZipFile(packed / "all.zip", "w") as archive:
            for file, content in SMALL[name].items():
                archive.writestr(f"top/{file}", content)
    else:
        with tarfile.open(packed / f"all.{packing}", f"w:{packing.removeprefix('tar.')}") as archive:
            archive.add(folder, "top")
    assert same(datasets.load(name, str(packed)), datasets.load(name, str(folder)))


@pytest.mark.parametrize("name", [*datasets.OWN, *datasets.FROM_TFDS])
def test_without_a_network_one_line_says_the_two_ways(name, tfds_folder, no_network) -> None:
    start = time.monotonic()
    text = refusal(name)
    assert time.monotonic() - start < 10
    assert "cannot be reached (network is unreachable)" in text
    assert "connect to the network to let TFDS download it" in text
    assert "or give --data-dir FOLDER with" in text
    assert not tfds_folder.exists()


@contextlib.contextmanager
def serving(folder: Path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def published(lay, tmp_path, monkeypatch):
    """A server with the small files, each packed as its real address says."""

    @contextlib.contextmanager
    def publish(name: str):
        folder, source = lay(name), builder_of(name.partition("/")[0])
        web = tmp_path / "web"
        for file, url in source.FILES.items():
            path = web / Path(url).name
            path.parent.mkdir(exist_ok=True)
            if url.endswith(".tar.gz"):
                with tarfile.open(path, "w:gz") as archive:
                    archive.add(folder, "top")
            elif file in SMALL[name]:
                content = SMALL[name][file]
                path.write_bytes(gzip.compress(content) if url.endswith(".gz") else content)
        with serving(web) as address:
            files = {file: f"{address}/{Path(url).name}" for file, url in source.FILES.items()}
            infos = {
                files[file]: tfds.download.checksums.UrlInfo(checksum.size, checksum.sha256, file)
                for file, url in source.FILES.items()
                if url in source.url_infos and file in SMALL[name]
                for checksum in source.checksums(file)
            }
            monkeypatch.setattr(source, "FILES", files)
            monkeypatch.setattr(source, "url_infos", infos)
            yield folder, web

    return publish


@pytest.mark.parametrize(
    "name", ["penn_treebank", "spoken_digits", pytest.param("multi30k/raw", marks=pytest.mark.slow)]
)
def test_tfds_downloads_and_prepares(name, published, tfds_folder) -> None:
    with published(name) as (folder, _):
        assert same(datasets.load(name), datasets.load(name, str(folder)))
    assert same(datasets.load(name), datasets.load(name, str(folder)))


def test_a_changed_download_leaves_nothing_behind(published, tfds_folder) -> None:
    with published("penn_treebank") as (_, web):
        (web / "ptb.test.txt").write_bytes(b" another \n")
        assert "wrong checksum" in refusal("penn_treebank")
        assert not tfds_folder.exists()
        (web / "ptb.test.txt").unlink()
        assert "404" in refusal("penn_treebank")
    assert not tfds_folder.exists()


def test_a_changed_archive_is_refused_after_the_download(published, tfds_folder) -> None:
    with published("spoken_digits") as (folder, web):
        next(folder.glob("recordings/*.wav")).unlink()
        with tarfile.open(next(web.iterdir()), "w:gz") as archive:
            archive.add(folder, "top")
        assert "wrong checksum" in refusal("spoken_digits")
    assert not tfds_folder.exists()


def test_a_failed_preparation_leaves_other_sets_alone(lay, tfds_folder, no_network) -> None:
    manual = lay("santa_fe_laser", tfds_folder / "downloads" / "manual" / "santa_fe_laser")
    datasets.load("santa_fe_laser")
    manual = lay("penn_treebank", tfds_folder / "downloads" / "manual" / "penn_treebank")
    (manual / "ptb.train.txt").write_bytes(b"\n")
    before = sorted(tfds_folder.rglob("*"))
    assert "ptb.train.txt, line 1" in refusal("penn_treebank")
    assert sorted(tfds_folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("pen_treebank", "did you mean 'penn_treebank'?"),
        ("ett/etth3", "did you mean 'etth"),
        ("penn_treebank/raw", "one form only"),
        ("scan/simpel", "did you mean 'scan/simple'?"),
    ],
)
def test_an_unknown_name_names_the_near_one(name, word) -> None:
    with pytest.raises(UsageError, match=r"unknown data set|data set") as caught:
        datasets.load(name)
    assert word in str(caught.value)


def test_a_tfds_folder_without_the_set_says_so(tmp_path) -> None:
    text = refusal("imdb_reviews", tmp_path)
    assert f"no imdb_reviews/VERSION/dataset_info.json in {tmp_path}" in text
    assert "leave --data-dir out" in text


def test_importing_is_light() -> None:
    code = "import sys, recipes.datasets; print({'tensorflow', 'tensorflow_datasets', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
