"""What reading yields beside exchanges: rows that were none, and where a row came from."""

from typing import NamedTuple


class Rejected(NamedTuple):
    """A row that was no exchange: the file, its 1-based line or row number, and why."""

    file: str
    line: int
    reason: str


class Measured(NamedTuple):
    """What one input gave: path as given, bytes on disk, SHA-256 in hex, format, rows read and rejected."""

    path: str
    bytes: int
    sha256: str
    format: str
    read: int
    rejected: int
