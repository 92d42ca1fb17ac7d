"""`seqzoo data-service dispatcher|worker`: batches made by other processes or machines."""

import dataclasses
import time
from typing import Annotated, Literal

import tyro

from recipes.commands.command import Command
from recipes.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataService(Command):
    """Make batches for `seqzoo run RECIPE --data-service`: start one dispatcher, and any number of workers."""

    role: Annotated[Literal["dispatcher", "worker"], tyro.conf.Positional]
    """The dispatcher hands out the work, a worker does it; a worker must see the recipe's data where the run does."""
    port: int = 0
    """Where this process listens; any free port if 0."""
    dispatcher: str | None = None
    """HOST:PORT of the dispatcher, for a worker."""
    host: str = "localhost"
    """The name by which the run's machine reaches this one, for a worker."""

    def execute(self) -> int:
        """Serves until Ctrl-C or SIGTERM."""
        from recipes import data_service
        from recipes.console import Console

        if not 0 <= self.port < 2**16:
            raise UsageError(f"--port must be at least 0 and below 65536; got {self.port}")
        if self.role == "worker" and self.dispatcher is None:
            raise UsageError("a worker needs --dispatcher HOST:PORT")
        for option in ("dispatcher", "host"):
            if self.role == "dispatcher" and self.is_typed(option):
                raise UsageError(f"--{option} is for a worker; leave it out")
        if self.role == "dispatcher":
            server = data_service.start_dispatcher(self.port)
            words = f"dispatcher at {server.target}"
        else:
            server = data_service.start_worker(str(self.dispatcher), self.host, self.port)
            words = f"worker of {self.dispatcher}"
        Console().say(f"{words}; Ctrl-C or SIGTERM ends it")
        while server:
            time.sleep(3600)
        return 0
