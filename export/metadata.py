"""What an artifact says of itself: the JSON entry inside the file, read with the runtime's own means."""

import json
from pathlib import Path
from typing import Any

KEY = "seqzoo"


def of_tflite(content: bytes) -> str | None:
    """The entry in a LiteRT file, None where there is none."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == KEY.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode()
    return None


def of_saved_model(folder: Path) -> str | None:
    """The entry beside a SavedModel's graph, None where there is none."""
    extra = folder / "assets.extra" / f"{KEY}.json"
    return extra.read_text(encoding="utf-8") if extra.exists() else None


def parse(text: str | None) -> dict[str, Any]:
    """The entry's content; empty where there is none, or none of ours."""
    try:
        content = json.loads(text or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
