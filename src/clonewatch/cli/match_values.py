"""What commands on blinded matching need: its libraries, values that were read, and groups of a result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clonewatch.cli import output
from clonewatch.model.errors import SetupError
from clonewatch.sharing.matching.sightings import Group

_NEEDS = ("private_set_intersection", "starlette", "uvicorn")
# What of a proxy's customers is nobody's business but theirs.
_LEFT_OUT = "proxy_customer"


def groups(scan: Path) -> list[Group]:
    """Every linked group of a result, flagged or not: chosen ones would make p-values say too much.

    Raises InputError for a folder that is no result.
    """
    from clonewatch.pipeline.scan_result import read_table

    members: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_table(scan, "members").to_pylist():
        if row["role"] != _LEFT_OUT and row["first_ts"] and row["last_ts"]:
            members[row["campaign_id"]].append(row)
    rows = read_table(scan, "campaigns").to_pylist()
    return [_group(row, members[row["campaign_id"]]) for row in rows if members[row["campaign_id"]]]


def _group(row: dict[str, Any], members: list[dict[str, Any]]) -> Group:
    banned = sum(one["banned_ts"] is not None and one["unbanned_ts"] is None for one in members)
    return Group(
        row["campaign_id"],
        frozenset(one["account_id"] for one in members),
        min(one["first_ts"] for one in members).date(),
        max(one["last_ts"] for one in members).date(),
        2 * banned >= len(members),
        1.0 if row["p_value"] is None else row["p_value"],
        tuple(row["families"] or ()),
    )


def sketch_secret(path: Path | None) -> bytes | None:
    """The key of sketches, derived from the fingerprint key in a file; None without a file. Raises KeyFileError."""
    if path is None:
        return None
    from clonewatch.fingerprints.keys import derive, load_key
    from clonewatch.model.secret_files import read_secret

    read_secret(path, "the fingerprint key")  # a missing one is not made here
    return derive(load_key(path), "sketch")


def say_unread(unread: Mapping[str, int]) -> None:
    """Say how many rows of values were left out, and why."""
    for why, count in sorted(unread.items()):
        output.complain(f"{count:,} rows of values were left out: {why}.")


def check_libraries() -> None:
    """Raise SetupError where the extra is not installed."""
    if lacking := [name for name in _NEEDS if find_spec(name) is None]:
        raise SetupError(
            f"blinded matching needs {', '.join(lacking)}", fix="Install the extra: pip install 'clonewatch[match]'"
        )
