"""The errors that a caller can handle: each says what is wrong, where, and the fix."""

from clonewatch.model.errors import (
    ClonewatchError,
    InputError,
    KeyFileError,
    MappingError,
    OutputError,
    SetupError,
    StateError,
    TooManyRejected,
)

__all__ = [
    "ClonewatchError",
    "InputError",
    "KeyFileError",
    "MappingError",
    "OutputError",
    "SetupError",
    "StateError",
    "TooManyRejected",
]
