import re


class SeqzooExportError(Exception):
    """Base of all errors that `export` raises; its text is one line for the user."""


class ExportError(SeqzooExportError):
    """The model cannot be written in the requested format; says which layer or op, and what to do."""


class QuantizationError(ExportError):
    """The model cannot be written in the requested precision: what stands in the way, and the nearest that works."""


class ArtifactError(SeqzooExportError):
    """An artifact on disk cannot be read or run: missing, truncated, or fed with unfit inputs."""


class VerificationError(SeqzooExportError):
    """An artifact does not do what its Keras model does.

    Attributes:
        report: The `VerifyReport` with every miss.
    """

    def __init__(self, message: str, report: object) -> None:
        super().__init__(message)
        self.report = report


def first_line(error: BaseException, limit: int = 300) -> str:
    """The line of a converter's message that says what is wrong.

    Converters prepend pages of locations, and MLIR marks the one useful line with `error:`; Keras says first in which
    call it was, in colours.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Exception encountered when calling")]
    marked = [line.split("error:", 1)[1].strip() for line in lines if "error:" in line]
    useful = [line for line in (marked or lines) if line]
    return (useful or [type(error).__name__])[0][:limit]
