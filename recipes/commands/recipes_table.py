"""The README's table of recipes, made from their own documentation."""

BEGIN, END = "<!-- recipes: made by `python -m recipes.commands.recipes_table` -->", "<!-- end of recipes -->"


def recipes_table() -> str:
    """Makes the table.

    Returns:
        Markdown: a row for each registered recipe, in alphabetical order.
    """
    from recipes.commands.of_recipe import summary
    from recipes.recipe import RECIPES

    rows = [("recipe", "what it learns"), ("---", "---")]
    rows += [
        (f"[`{name}`](recipes/{name}.py)", summary(recipe).rstrip(".")) for name, recipe in sorted(RECIPES.items())
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    import recipes  # noqa: F401  (registers the recipes)

    print(recipes_table())
