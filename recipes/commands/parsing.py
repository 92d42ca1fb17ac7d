"""From words to a typed command: tyro reads the fields, their types and their docstrings."""

import contextlib
import dataclasses
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import tyro

from recipes.commands.command import Command
from recipes.errors import UsageError
from recipes.fields import near_match

C = TypeVar("C", bound="Command")
_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.PositionalMetavarFromFieldName)


def parse(command: type[C], words: Sequence[str], *, prog: str, default: C | None = None) -> C:
    """Reads a command's options.

    Args:
        command: A dataclass; its fields are the options.
        words: What the user typed after `prog`.
        prog: What the user typed to get here, for the help.
        default: Where the fields that are not given come from; the command's own defaults if None.

    Returns:
        The command.

    Raises:
        UsageError: One line on what is wrong, with the near match.
        SystemExit: `--help` was asked for, and printed.
    """
    settings: dict[str, Any] = {} if default is None else {"default": default}
    with _one_line_errors(command, prog):
        made = tyro.cli(command, args=list(words), prog=prog, config=_STYLE, **settings)
    return dataclasses.replace(made, words=tuple(words))


@contextlib.contextmanager
def _one_line_errors(command: type[Any], prog: str) -> Iterator[None]:
    # tyro draws its errors as boxes of many lines. Its hook for them is marked as unstable: where a later version has
    # moved it, users get the boxes, with the same exit code.
    hooks = getattr(tyro, "_errors", None)
    if not hasattr(hooks, "on_parse_error"):
        yield
        return

    def refuse(event: Any) -> None:
        if sentence := _SENTENCES.get(type(event).__name__):
            raise UsageError(f"{sentence(event, command)} ({prog} --help says more)")

    with hooks.on_parse_error(refuse):
        yield


def _invalid_choice(event: Any, command: type[Any]) -> str:
    return f"{_option(event.argument)}: unknown choice {event.value!r}{near_match(event.value, event.choices)}"


def _bad_value(event: Any, command: type[Any]) -> str:
    return f"{_option(event.argument)} needs a value"


def _unrecognized(event: Any, command: type[Any]) -> str:
    wrong = event.tokens[0]
    if not wrong.startswith("-"):
        return f"{wrong!r} is one word too many"
    return f"unknown option {wrong!r}{near_match(wrong, _options(command))}"


def _missing(event: Any, command: type[Any]) -> str:
    return "missing: " + ", ".join(_option(missing.arg) for missing in event.missing_arguments)


def _instantiation(event: Any, command: type[Any]) -> str:
    return f"{_option(event.argument)}: {event.message}" if event.argument else str(event.message)


_SENTENCES = {
    "InvalidChoice": _invalid_choice,
    "BadValue": _bad_value,
    "UnrecognizedArgs": _unrecognized,
    "MissingArgs": _missing,
    "InstantiationFailure": _instantiation,
}


def _option(argument: Any) -> str:
    return str(argument.lowered.metavar) if argument.is_positional() else str(argument.lowered.name_or_flags[0])


def _options(command: Any) -> list[str]:
    names: list[str] = []
    hints = typing.get_type_hints(command)
    for field in dataclasses.fields(command):
        if dataclasses.is_dataclass(hints[field.name]):
            names += _options(hints[field.name])
        elif field.name != "words":
            names.append("--" + field.name.replace("_", "-"))
    return names
