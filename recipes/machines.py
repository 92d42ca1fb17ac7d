"""TF_CONFIG: which processes train together, and which of them this one is."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from recipes.errors import UsageError

EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Machines:
    """The processes that train together.

    Attributes:
        addresses: HOST:PORT of each, the chief first.
        index: Which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def address(self) -> str:
        """Where this process listens."""
        return self.addresses[self.index]


def read_tf_config(environment: Mapping[str, str] = os.environ) -> Machines:
    """Reads the environment variable TF_CONFIG.

    Args:
        environment: Where it stands.

    Returns:
        The machines.

    Raises:
        UsageError: It is missing, no JSON, or makes no sense.
    """
    text = environment.get("TF_CONFIG", "")
    if not text:
        raise UsageError(f"--strategy multi_worker reads the environment variable TF_CONFIG, such as {EXAMPLE}")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"TF_CONFIG is no JSON ({error}); it reads like {EXAMPLE}") from error
    cluster, task = _parts(content)
    kind, index = task.get("type"), task.get("index")
    if kind not in cluster:
        raise _wrong(f"task.type is {kind!r}, but cluster has {', '.join(map(repr, cluster)) or 'no job'}")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(cluster[kind]):
        raise _wrong(f"task.index is {index!r}, but cluster.{kind} has {len(cluster[kind])} addresses, from 0")
    addresses = tuple(address for job in JOBS for address in cluster.get(job, ()))
    return Machines(addresses, index + (len(cluster.get("chief", ())) if kind == "worker" else 0))


def _parts(content: Any) -> tuple[dict[str, list[str]], dict[str, Any]]:
    if not (isinstance(content, dict) and isinstance(content.get("cluster"), dict)):
        raise _wrong("it has no cluster")
    if not isinstance(content.get("task"), dict):
        raise _wrong("it has no task: which of the machines is this one?")
    cluster = content["cluster"]
    for job, addresses in cluster.items():
        if job not in JOBS:
            raise _wrong(f"there is no job {job!r} here, but {' and '.join(JOBS)}")
        if not (isinstance(addresses, list) and all(map(_is_address, addresses))):
            raise _wrong(f"cluster.{job} is {addresses!r}, not a list of HOST:PORT")
    every = [address for addresses in cluster.values() for address in addresses]
    if len(cluster.get("chief", ())) > 1 or len(set(every)) < len(every):
        raise _wrong("there is one chief at most, and no address twice")
    return cluster, content["task"]


def _is_address(text: Any) -> bool:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536


def _wrong(what: str) -> UsageError:
    return UsageError(f"TF_CONFIG: {what}; it reads like {EXAMPLE}")
