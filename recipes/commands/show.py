"""`seqzoo show NAME`: everything about a recipe or a model."""

import dataclasses
from typing import Annotated, Any

import tyro

import recipes
from recipes.commands.command import Command, print_json, print_table
from recipes.commands.diagram import diagram
from recipes.errors import RecipeError, UsageError
from recipes.fields import describe, near_match
from recipes.recipe import RECIPES, field_types


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show(Command):
    """Show a recipe or a model: what it does, its fields, its size."""

    name: Annotated[str, tyro.conf.Positional]
    """A recipe or a model, as seqzoo list names them."""

    def execute(self) -> int:
        """Prints the entry."""
        import zoo

        # A recipe may have the name of the model that it trains: then both are meant.
        entries = [_model(self.name)] if self.name in zoo.list_models() else []
        entries += [_recipe(self.name)] if self.name in RECIPES else []
        if not entries:
            known = recipes.list_recipes() + zoo.list_models()
            raise UsageError(f"unknown recipe or model {self.name!r}{near_match(self.name, known)}")
        if self.json:
            print_json(entries[0] if len(entries) == 1 else entries)
        else:
            for entry in entries:
                _print(entry)
        return 0


def _recipe(name: str) -> dict[str, Any]:
    recipe = recipes.get_recipe(name)
    docs = _field_docs(type(recipe))
    fields = [
        {
            "field": field,
            "type": describe(annotation),
            "default": _plain(getattr(recipe, field)),
            "meaning": docs[field],
        }
        for field, annotation in field_types(type(recipe)).items()
    ]
    return {
        "kind": "recipe",
        "name": name,
        "description": _dedent(type(recipe).__doc__),
        "facts": _facts(recipe),
        "fields": fields,
    }


def _facts(recipe: Any) -> dict[str, Any]:
    try:
        data = recipe.load_data()
    except RecipeError as error:  # it works on data of the user's own, or what it works on is not at hand
        return {"data": str(error)}
    model = recipe.build_model(data)
    return {
        "data": data.summary,
        "examples": {part: getattr(data, part).size for part in ("train", "validation", "test")},
        "model": model.name,
        "parameters": model.count_params(),
    }


def _model(name: str) -> dict[str, Any]:
    import zoo

    spec = zoo.get_spec(name)
    fields = [
        {
            "field": field.name,
            "type": field.type,
            "default": "(required)" if field.required else _plain(field.default),
            "meaning": field.doc,
        }
        for field in spec.fields.values()
    ]
    # None is no size: of the features and the vocabulary, say, a model needs one.
    needed = {
        field: size
        for field, size in spec.tiny.items()
        if spec.fields[field].required or spec.fields[field].default is None
    }
    tiny = zoo.create_model(name, **spec.tiny)
    return {
        "kind": "model",
        "name": name,
        "description": spec.docstring.split("\nArgs:")[0].strip(),
        "diagram": diagram(tiny),
        "facts": {
            "shape": str(spec.shape),
            "streamable": spec.streamable,
            "inputs": {tensor: str(axes) for tensor, axes in spec.inputs.items()},
            "outputs": {tensor: str(axes) for tensor, axes in spec.outputs.items()},
            "parameters": {
                f"tiny ({_call(spec.tiny)})": tiny.count_params(),
                f"default ({_call(needed)})": zoo.create_model(name, **needed).count_params(),
            },
            "formats": _formats(spec.unsupported),
            "references": list(spec.references),
        },
        "fields": fields,
    }


def _formats(unsupported: Any) -> dict[str, str]:
    import export

    return {name: unsupported.get(name, "yes") for name in export.FORMATS}


def _call(fields: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in fields.items())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _field_docs(recipe: type[Any]) -> dict[str, str]:
    # tyro reads the docstrings that follow the fields for its help; what it finds is what is shown here.
    from tyro._docstrings import get_field_docstring

    return {name: get_field_docstring(recipe, name, ()) or "" for name in field_types(recipe)}


def _dedent(text: str | None) -> str:
    import inspect

    return inspect.cleandoc(text or "")


def _print(entry: dict[str, Any]) -> None:
    print(f"{entry['name']} ({entry['kind']})\n\n{entry['description']}\n")
    if "diagram" in entry:
        print("\n".join(["Diagram of the tiny size:", *(f"    {line}" for line in entry["diagram"]), ""]))
    for name, value in entry["facts"].items():
        if isinstance(value, dict):
            value = "; ".join(
                f"{key}: {inner:,}" if isinstance(inner, int) else f"{key}: {inner}" for key, inner in value.items()
            )
        print(f"{name}: {'; '.join(value) if isinstance(value, list) else value}")
    columns = ("field", "type", "default", "meaning")
    rows = [{**field, "default": "None" if field["default"] is None else field["default"]} for field in entry["fields"]]
    print_table(columns, [[field[column] for column in columns] for field in rows])
