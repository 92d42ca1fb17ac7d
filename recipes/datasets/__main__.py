"""Prints the table of `docs/datasets.md`: `python -m recipes.datasets`."""

from recipes.datasets.listing import datasets_table

if __name__ == "__main__":
    print(datasets_table())
