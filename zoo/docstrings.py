"""Reads Google-style docstrings: what a builder's documentation says is what `seqzoo show` prints."""

import inspect
import re


def section(docstring: str, title: str) -> str:
    """Cuts one section out of a docstring.

    Args:
        docstring: A cleaned docstring.
        title: The section's heading, without the colon.

    Returns:
        The section's text without its indentation, after what the heading adds behind a comma (`Equation, for hop k:`);
        empty if there is none.
    """
    found = re.search(rf"^{title}(?:, (.*))?:\n((?:[ \t]+.*\n|\n)*)", docstring + "\n", re.MULTILINE)
    if not found:
        return ""
    return (f"{found[1]}:\n" if found[1] else "") + inspect.cleandoc(found[2])


def entries(text: str) -> dict[str, str]:
    """Splits a section such as `Args` into its entries.

    Args:
        text: The section, `name: text` each, continuation lines indented.

    Returns:
        Name -> text on one line.
    """
    found = re.findall(r"^(\w+): (.*(?:\n[ \t]+.*)*)", text, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}
