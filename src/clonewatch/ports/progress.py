"""The interface of progress: stages that start, advance and end. The command line draws it, the library ignores it."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives what a long run is doing."""

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins. total: expected amount in `unit` ("bytes", "rows", "steps"), None when unknown."""

    def advance(self, done: int, rows: int = 0) -> None:
        """The stage has done `done` more units, with `rows` more rows."""

    def expect(self, stages: int) -> None:
        """As many stages follow, starting with the next one."""

    def end(self, note: str = "") -> None:
        """The stage has ended. note: a few words on the outcome."""


class Silent:
    """Progress that is ignored."""

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """Nothing."""

    def advance(self, done: int, rows: int = 0) -> None:
        """Nothing."""

    def expect(self, stages: int) -> None:
        """Nothing."""

    def end(self, note: str = "") -> None:
        """Nothing."""
