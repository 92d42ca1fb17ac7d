"""The `seqzoo` command. Nothing heavy is imported before a word needs it: `seqzoo --help` answers at once."""

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence

from recipes.errors import RecipeError, UsageError, first_line

FINE, FAILED, WRONG_USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

USAGE = """\
usage: seqzoo COMMAND [options]

Recurrent sequence models for Keras 3: trained on real data, exported to SavedModel, LiteRT and ONNX, verified.

commands (seqzoo COMMAND --help names the options of one):
"""

_TERMINATED = threading.Event()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words after `seqzoo`; those of the process if None.

    Returns:
        The exit code: 0 fine, 1 the work failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in words
    try:
        with contextlib.nullcontext() if verbose else _silenced(), _termination():
            return _dispatch(words)
    except SystemExit as done:  # tyro printed a help page, or an error of its own
        return done.code if isinstance(done.code, int) else WRONG_USAGE
    except KeyboardInterrupt as stop:
        return _complain(str(stop) or "stopped", TERMINATED if _TERMINATED.is_set() else INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output is gone (`seqzoo list | head`); the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:  # no traceback ever reaches the user unasked
        if verbose:
            traceback.print_exc()
        return _complain(_line(error), WRONG_USAGE if isinstance(error, UsageError) else FAILED)


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        from recipes.versions import version

        print(f"seqzoo {version()}")
        return FINE
    from recipes import commands
    from recipes.commands.of_recipe import read
    from recipes.commands.parsing import parse
    from recipes.fields import near_match

    if not words or words[0] in ("-h", "--help"):
        print(USAGE + commands.overview())
        return FINE if words else WRONG_USAGE
    word, options = words[0], words[1:]
    if word in commands.OF_RECIPE:
        command = read(commands.OF_RECIPE[word], word, options)
        return command.execute() if command else FINE
    if word not in commands.COMMANDS:
        raise UsageError(f"unknown command {word!r}{near_match(word, [*commands.OF_RECIPE, *commands.COMMANDS])}")
    return parse(commands.COMMANDS[word], options, prog=f"seqzoo {word}").execute()


def _line(error: Exception) -> str:
    if isinstance(error, RecipeError) or any(kind.__name__ == "SeqzooExportError" for kind in type(error).__mro__):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else first_line(error)
    return f"{type(error).__name__}: {first_line(error)} (--verbose shows where)"


def _complain(line: str, code: int) -> int:
    print(line if code in (INTERRUPTED, TERMINATED) else f"error: {line}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """Lets a scheduler's SIGTERM end the work as Ctrl-C does: cleanly, with a line that says how to go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        _TERMINATED.set()
        raise KeyboardInterrupt

    _TERMINATED.clear()
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keeps TensorFlow's own messages from the terminal.

    Its C++ parts write to the file descriptor before any of their switches is read, so the descriptor leads nowhere
    meanwhile, and Python's `sys.stderr` to where it led before.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its handler would also write to the `sys.stderr` of now after another call has closed that.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    before = sys.stderr
    before.flush()
    try:
        kept = os.dup(2)
    except OSError:  # started without a standard error
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    with os.fdopen(kept, "w", buffering=1, encoding=before.encoding, errors="backslashreplace") as terminal:
        sys.stderr = terminal
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(kept, 2)


if __name__ == "__main__":
    sys.exit(main())
