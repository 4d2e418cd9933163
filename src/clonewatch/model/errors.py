"""Everything that can go wrong before or after a row is read, as one tree.

::

    ClonewatchError            what, where and the fix; the command line prints it and exits with `code`
    |-- SetupError        2    bad set-up, found before a row is read
    |   |-- InputError    2    a path that is missing, unreadable or of no known format
    |   |-- MappingError  2    a field map without an account key, or with unknown names
    |   `-- KeyFileError  2    the key file is unreadable, or open to others
    |-- ClientError       2    a model that is audited could not be asked; the answers that were kept stay
    |-- StateError        2    a state is damaged, held by another process, or made with another key
    |-- OutputError       2    the results could not be written; earlier results are untouched
    `-- TooManyRejected   4    so many rows were rejected that the result should not be trusted

Bad rows are not exceptions: they are `Rejected` values, counted and written aside.
"""


class ClonewatchError(Exception):
    """Something a person can fix: says what is wrong, where, and the fix."""

    code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what + (f" ({where})" if where else "") + (f". {fix}" if fix else ""))


class SetupError(ClonewatchError):
    """Bad set-up, found before a row is read."""


class InputError(SetupError):
    """A path is missing, unreadable or of no known format."""


class MappingError(SetupError):
    """A field map lacks the account key, or names a column that does not exist."""


class KeyFileError(SetupError):
    """The key file is unreadable, malformed, or readable by others."""


class StateError(ClonewatchError):
    """A state is missing, damaged, held by another process, or made with another key."""


class OutputError(ClonewatchError):
    """Results could not be written; earlier results are left as they were."""


class TooManyRejected(ClonewatchError):
    """So many rows were rejected that the result should not be trusted."""

    code = 4
