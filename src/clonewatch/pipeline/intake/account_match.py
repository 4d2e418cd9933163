"""Whether the accounts file speaks of the accounts of the log: ids that match nothing change a scan without a sound."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow.compute as pc

from clonewatch.adapters.reading import Log

# Below this share of the ids that could have matched, a file is probably of another log, or spells ids differently.
_FEW = 0.5


def mismatch(log: Log, known: Collection[str], where: str = "the log", least: float = _FEW) -> list[str]:
    """A warning where the accounts file has facts about few or none of the accounts of the log; else nothing.

    known: account ids of the log. where: where they were looked for. least: share of the smaller of the two sets below
    which to warn.
    """
    table = log.accounts()
    if table is None or not table.num_rows or not known:
        return []
    ids = {name for name in pc.unique(table["account_id"]).to_pylist() if name is not None}
    held = ids & set(known)
    if len(held) and len(held) >= least * min(len(ids), len(known)):
        return []
    files = ", ".join(one.path for one in log.inputs if one.format.startswith("accounts (")) or "the accounts file"
    theirs, ours = min(ids - held), min(set(known) - held, default="")
    return [
        f"{len(held):,} of {len(ids):,} account ids in {files} occur in {where}, e.g. {theirs!r} does not"
        + (f", and {where} has {ours!r}" if ours else "")
        + ". What the file says about accounts that do not occur is not used: check that both spell ids the same way"
    ]
