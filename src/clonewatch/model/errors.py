"""The errors of Clonewatch, as one tree.

::

    ClonewatchError            what, where and the fix; the command line prints it and exits with `code`
    |-- SetupError        2    bad set-up, found before a row is read
    |   |-- InputError    2    a path that is missing, unreadable or of unknown format
    |   |-- MappingError  2    a field map without an account key, or with unknown names
    |   `-- KeyFileError  2    the key file is unreadable, or readable by others
    |-- ClientError       2    an audited model could not be reached; answers collected so far are kept
    |-- PeerError         2    another provider could not be asked, or refused; earlier files are unchanged
    |-- StateError        2    a state is damaged, held by another process, or made with another key
    |-- StoreError        2    the case store is missing, busy, unreachable or of another version; nothing was changed
    |   `-- StaleError    2    somebody else changed the case first; nothing was changed
    |-- LogError          3    a transparency log, or the store beside it, is not what was signed
    |-- OutputError       2    the results could not be written; earlier results are unchanged
    |-- TooManyRejected   4    too many rows were rejected for the result to be trusted
    `-- TooManyRepeated   4    too many rows were merged into others for the result to be trusted

Bad rows are not exceptions: they are `Rejected` values, counted and written to their own file.
"""

import os


class ClonewatchError(Exception):
    """Something that a person can fix: says what is wrong, where, and how to fix it."""

    code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what + (f" ({where})" if where else "") + (f". {fix}" if fix else ""))


class SetupError(ClonewatchError):
    """Bad set-up, found before a row is read."""


class InputError(SetupError):
    """A path is missing, unreadable or of unknown format."""


class MappingError(SetupError):
    """A field map lacks the account key, or names a column that does not exist."""


class KeyFileError(SetupError):
    """The key file is unreadable, malformed, or readable by others."""


class PeerError(ClonewatchError):
    """Another provider could not be asked, refused, or answered wrongly; earlier files are unchanged."""


class StateError(ClonewatchError):
    """A state is missing, damaged, held by another process, or made with another key."""


class StoreError(ClonewatchError):
    """The case store is missing, busy, unreachable or of another version; nothing was changed."""


class StaleError(StoreError):
    """Somebody else changed the case first; nothing was changed."""


class LogError(ClonewatchError):
    """A transparency log, or the store beside it, is not what was signed."""

    code = 3


class OutputError(ClonewatchError):
    """Results could not be written; earlier results are unchanged."""


class TooManyRejected(ClonewatchError):
    """Too many rows were rejected for the result to be trusted."""

    code = 4


class TooManyRepeated(ClonewatchError):
    """Too many rows were merged into others, by their ids, for the result to be trusted."""

    code = 4


def refused_file(error: OSError) -> SetupError:
    """An error of the system about a file that nothing foresaw: a name too long, a folder that may not be entered."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
    what = f"the system refuses a file: {error.strerror or error}"
    return SetupError(what, where=where, fix="Check the path, its permissions and the disk, and run again")
