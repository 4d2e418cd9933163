"""The errors that a caller can handle. Each says what is wrong, where, and how to fix it."""

from clonewatch.model.errors import (
    ClonewatchError,
    InputError,
    KeyFileError,
    LogError,
    MappingError,
    OutputError,
    PeerError,
    SetupError,
    StaleError,
    StateError,
    StoreError,
    TooManyRejected,
    TooManyRepeated,
)

__all__ = [
    "ClonewatchError",
    "InputError",
    "KeyFileError",
    "LogError",
    "MappingError",
    "OutputError",
    "PeerError",
    "SetupError",
    "StaleError",
    "StateError",
    "StoreError",
    "TooManyRejected",
    "TooManyRepeated",
]
