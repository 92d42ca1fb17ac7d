class RecipeError(Exception):
    """The work failed: its text is one line for the user. The command exits with 1."""


class UsageError(RecipeError, ValueError):
    """What was asked for makes no sense: an unknown name, a value out of range. The command exits with 2."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped a run; the text says how to go on. The command exits with 130, as shells expect of SIGINT."""


def first_line(error: BaseException) -> str:
    """Shortens an error of another library to one line.

    Args:
        error: Any exception.

    Returns:
        The first line of its text that says something; the name of its class where the text is empty.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
