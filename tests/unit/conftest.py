"""Places for case stores: a file, and a database on a PostgreSQL server of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import postgres
from tests.required import required

NEEDS_SERVER = required("the case store on PostgreSQL", postgres.lacking())


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """One for all modules of a process: each test makes a database of its own."""
    with postgres.server() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=NEEDS_SERVER)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The address of a store that does not exist yet, and its key file."""
    if request.param == "sqlite":
        return str(tmp_path / "cases.db"), tmp_path / "cases.db.key"
    address, name = request.getfixturevalue("server"), f"store{abs(hash(tmp_path))}"
    import psycopg

    with psycopg.connect(f"{address}postgres", autocommit=True) as made:
        made.execute(f"CREATE DATABASE {name}".encode())
    return f"{address}{name}", tmp_path / "log.key"
