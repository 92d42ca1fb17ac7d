"""Networks side by side on the memory tasks: `python -m benchmarks.memory_tasks copy adding waveform`.

Trains what `runs/results` lacks, as `benchmarks.results` does, and writes the tables of docs/memory_tasks.md.
"""

import argparse
import json
from pathlib import Path

from benchmarks import results
from benchmarks.interleaved import table
from recipes.files import write_text

TABLES = {
    "copy": ("ntm", "lstm"),
    "adding": ("simple_rnn", "leaky", "time_skip", "lstm", "gru"),
    "waveform": ("clockwork", "lstm"),
}
"""Preset of the recipe -> who is tried."""
SEED = 0


def main() -> None:
    """Trains, then writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("tables", nargs="+", choices=TABLES)
    parser.add_argument("--file", type=Path, default=Path("docs/memory_tasks.md"))
    asked = parser.parse_args()
    for preset in asked.tables:
        made = measured(preset)
        write_text(asked.file, with_table(asked.file.read_text(), preset, made))
        print(made)


def measured(preset: str) -> str:
    """Trains the networks of a table.

    Args:
        preset: Of the recipe `memory_tasks`.

    Returns:
        A Markdown table: a row for each network, with its metrics on the test part.
    """
    rows = []
    for model in TABLES[preset]:
        folder = results.train("memory_tasks", SEED, ["--preset", preset, "--model", model])
        result = json.loads((folder / "results.json").read_text())
        figures = [f"{value:.2g}" if value < 0.01 else f"{value:.4g}" for value in result["metrics"].values()]
        rows.append([model, f"{result['parameters']:,}", *figures])
    return table(["model", "weights", *(name.replace("_", " ") for name in result["metrics"])], rows)


def with_table(text: str, preset: str, made: str) -> str:
    """Puts a table in its place.

    Args:
        text: All of docs/memory_tasks.md.
        preset: Whose table it is.
        made: The table.

    Returns:
        The new text.
    """
    begin, end = f"<!-- {preset}: made by `python -m benchmarks.memory_tasks {preset}` -->", f"<!-- end of {preset} -->"
    before, rest = text.split(begin)
    return before + "\n".join([begin, made, end]) + rest.split(end)[1]


if __name__ == "__main__":
    main()
