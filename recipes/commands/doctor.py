"""`seqzoo doctor`: is this installation fit?"""

import dataclasses
import importlib
from typing import Any

from recipes.commands.command import Command, print_json, print_table
from recipes.errors import RecipeError, first_line


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Check the installed versions against the tested ones, and name the devices; exits with 1 on a clash."""

    def execute(self) -> int:
        """Prints what is installed; a clash is named with the command that mends it."""
        from recipes import doctor

        checks = doctor.check_versions()
        clashes = [str(check) for check in checks if not check.fits]
        if not doctor.python_fits():
            clashes.append(f"Python {doctor.summary()['python']} is not one that seqzoo was tested with")
        device = _device()
        if self.json:
            versions = {check.name: {"tested": check.wanted, "installed": check.found} for check in checks}
            print_json(doctor.summary() | {"device": device, "versions": versions, "clashes": clashes})
        else:
            print(", ".join(f"{name} {value}" for name, value in doctor.summary().items()))
            print(f"device: {device}")
            columns = ("package", "tested", "installed", "fits", "asked for by")
            print_table(columns, [(c.name, c.wanted, c.found or "missing", c.fits, c.owner) for c in checks])
        if clashes:
            raise RecipeError("; ".join(clashes))
        return 0


def _device() -> str:
    try:
        devices: Any = importlib.import_module("recipes.devices")
    except Exception as error:  # whatever a broken TensorFlow raises
        return f"TensorFlow can't be imported: {first_line(error)}"
    return devices.device_name()
