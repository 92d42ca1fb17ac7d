"""TF_CONFIG: what is read from it, and what is said of one that makes no sense."""

import json

import pytest

from recipes import cli
from recipes.errors import UsageError
from recipes.machines import read_tf_config


def config(**changes):
    content = {"cluster": {"worker": ["a:1", "b:2", "c:3"]}, "task": {"type": "worker", "index": 1}} | changes
    return {"TF_CONFIG": json.dumps({name: part for name, part in content.items() if part is not None})}


def test_workers():
    machines = read_tf_config(config())
    assert (machines.addresses, machines.index, machines.address) == (("a:1", "b:2", "c:3"), 1, "b:2")


def test_a_chief_of_its_own_comes_first():
    cluster = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    assert read_tf_config(config(cluster=cluster)).index == 2
    machines = read_tf_config(config(cluster=cluster, task={"type": "chief", "index": 0}))
    assert (machines.addresses, machines.index) == (("c:3", "a:1", "b:2"), 0)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "reads the environment variable TF_CONFIG, such as"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG is no JSON"),
        ({"TF_CONFIG": "[]"}, "it has no cluster"),
        (config(cluster=None), "it has no cluster"),
        (config(task=None), "it has no task"),
        (config(task={"type": "worker"}), "task.index is None, but cluster.worker has 3 addresses, from 0"),
        (config(task={"type": "worker", "index": 3}), "task.index is 3"),
        (config(task={"type": "worker", "index": "0"}), "task.index is '0'"),
        (config(task={"type": "chief", "index": 0}), "task.type is 'chief', but cluster has 'worker'"),
        (config(cluster={"ps": ["a:1"]}), "there is no job 'ps' here, but chief and worker"),
        (config(cluster={"worker": "a:1"}), "cluster.worker is 'a:1', not a list of HOST:PORT"),
        (config(cluster={"worker": ["a"]}), "not a list of HOST:PORT"),
        (config(cluster={"worker": ["a:0"]}), "not a list of HOST:PORT"),
        (config(cluster={"worker": ["a:1", "a:1"]}), "no address twice"),
        (config(cluster={"worker": ["a:1"], "chief": ["b:1", "c:1"]}), "one chief at most"),
    ],
)
def test_a_config_that_makes_no_sense(environment, words):
    with pytest.raises(UsageError, match="TF_CONFIG") as refusal:
        read_tf_config(environment)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_command_says_so_before_anything_is_made(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TF_CONFIG", "{")
    words = ["run", "digits", "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--strategy", "multi_worker"]) == 2
    assert capfd.readouterr().err.startswith("error: TF_CONFIG is no JSON")
    assert cli.main([*words, "--strategy", "miror"]) == 2
    assert "did you mean 'mirrored'" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
