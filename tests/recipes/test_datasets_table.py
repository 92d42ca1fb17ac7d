"""The table in the documentation says what the builders say."""

from pathlib import Path

from recipes import datasets
from recipes.datasets.listing import BEGIN, END, datasets_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "datasets.md"


def test_the_document_has_the_table_that_the_builders_give() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    between = text.split(BEGIN)[1].split(END)[0].strip()
    assert between == datasets_table(), "a builder has changed: put what `python -m recipes.datasets` prints there"


def test_the_table_has_every_set() -> None:
    table = datasets_table()
    for name in (*datasets.OWN, *datasets.FROM_TFDS):
        assert f"`{name}`" in table
