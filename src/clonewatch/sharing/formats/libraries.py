"""Libraries of the extra `share`, which are imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from clonewatch.model.errors import SetupError


def needed(name: str) -> Any:
    """A library of the extra. Raises SetupError that says how to install it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name.partition(".")[0]:
            raise
        raise SetupError(
            f"this needs the library {name}", fix="Install the extra: pip install 'clonewatch[share]'"
        ) from error
