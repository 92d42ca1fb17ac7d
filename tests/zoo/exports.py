"""Exports a registered model, verified; where the registry says that a format can't hold it, that must still be so."""

from pathlib import Path
from typing import Any

import pytest

import export
import zoo
from tests.zoo.support import build

FORMATS = tuple(export.FORMATS)


def check_export(name: str, fields: dict[str, Any], fmt: str, folder: Path, *, quick: bool = False) -> None:
    """The verifier compares at other batches, lengths and paddings; quick: at few of them."""
    model, unsupported = build(name, fields), zoo.get_spec(name).unsupported
    if fmt in unsupported:
        with pytest.raises(export.SeqzooExportError):
            export.export_model(model, folder, fmt)
        return
    artifact = export.export_model(model, folder, fmt, verify=not quick)
    report = export.verify(model, artifact, batch=(3,), time=(4,)) if quick else artifact.report
    assert report is not None
    report.raise_for_failure()
    assert report.cases
    assert all(output.compared for output in report.outputs)
    if fmt == "tflite":
        assert not [op for op in export.op_histogram(artifact.path) if op.startswith(("CUSTOM", "Flex"))]
