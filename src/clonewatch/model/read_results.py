"""What reading yields beside exchanges: rejected rows, and counts per input."""

from typing import NamedTuple


class Rejected(NamedTuple):
    """A row that is not an exchange: its file, its 1-based line or row number, and the reason."""

    file: str
    line: int
    reason: str


class Measured(NamedTuple):
    """Counts of one input: path as given, bytes on disk, SHA-256 in hex, format, rows read and rejected."""

    path: str
    bytes: int
    sha256: str
    format: str
    read: int
    rejected: int
