"""The one place that chooses an engine from the settings and opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clonewatch.model import option_values
from clonewatch.model.defaults import MEMORY
from clonewatch.model.errors import SetupError
from clonewatch.ports.engine import AttachesFiles, Engine, FileEngine
from clonewatch.ports.shelf import Shelf

ENGINES = Shelf("clonewatch.engines", "ENGINE")
EMBEDDED = "duckdb"


@dataclass(frozen=True)
class EngineSettings:
    """Which engine, and what it may use.

    name: a module in `engines/`. memory: limit before it spills to disk, such as "2GB". threads: None for all cores.
    master: of a Spark cluster; None for the one in Spark's own configuration.
    """

    name: str = EMBEDDED
    memory: str = MEMORY
    threads: int | None = None
    master: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that an option cannot have."""
        option_values.check(memory=self.memory, threads=self.threads)


@contextmanager
def opened(settings: EngineSettings, folder: Path | None, kept: Path | None = None) -> Iterator[Engine]:
    """The engine that the settings name, closed at the end.

    folder: where it puts temporary files. kept: a folder in which its tables stay, so that a later run finds them.
    Raises SetupError where there is no such engine or it does not support the settings.
    """
    if settings.name not in ENGINES.names():
        raise SetupError(f"there is no engine {settings.name!r}", fix=f"Use one of: {', '.join(ENGINES.names())}")
    if settings.master and settings.name == EMBEDDED:
        raise SetupError("--master applies to Spark only", fix="Pass --engine spark with it, or leave it out")
    own: dict[str, Any] = {"master": settings.master} if settings.master else {}
    if kept:
        own["kept"] = kept
    engine: Engine = ENGINES.load(settings.name)(memory=settings.memory, threads=settings.threads, folder=folder, **own)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def opened_for_state(settings: EngineSettings, folder: Path) -> Iterator[FileEngine]:
    """An engine that can read the files of a state. Raises SetupError where the chosen one cannot."""
    with opened(settings, folder) as engine:
        if not isinstance(engine, AttachesFiles):
            raise SetupError(f"the engine {settings.name!r} cannot read a state", fix=f"Use {EMBEDDED}")
        yield cast(FileEngine, engine)
