"""Fits the laboratory's honest world to an operator's own scan: sizes and rates, and nothing of its content."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from clonewatch.lab.adversary.translation import Setting, scenario
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import InputError
from clonewatch.pipeline.scan_result import read_summary

# In the simulator's usual world: businesses for each individual, and the look-alikes at a crowd of 1.
_FIRMS = 55 / 2300
_MOST_FITTED = 5_000


def fitted(scan_dir: Path, most: int = _MOST_FITTED) -> dict[str, Any]:
    """The table `[world]` of a playbook for a world like that of a scan. most: accounts; a larger log is scaled down.

    Taken over: the number of accounts, exchanges a day of an account, and the share of trusted accounts. The
    proportions of individuals, businesses and look-alikes are the simulator's. Raises InputError where the scan has no
    exchange.
    """
    summary = read_summary(scan_dir)
    counts, window = summary["counts"], summary.get("window") or {}
    first, last = (datetime.fromisoformat(window[end]) if window.get(end) else None for end in ("first", "last"))
    if not counts.get("accounts") or first is None or last is None:
        raise InputError("this result has no exchange", where=str(scan_dir), fix="Name the result of another scan")
    days = max(1.0, (last - first).total_seconds() / 86_400)
    wanted = counts["kept"] / counts["accounts"] / days
    accounts = min(most, counts["accounts"])
    usual = Setting(people=300, firms=7, crowd=0.13, quiet=1, days=6)
    made = _measured(usual)
    factor = accounts / made["accounts"]
    rate = wanted / (made["exchanges"] / made["accounts"] / made["days"])
    people = max(20, round(usual.people * factor))
    return {
        "people": people,
        "firms": max(3, round(people * _FIRMS)),
        "rate": round(usual.rate * rate, 4),
        "firm_rate": round(usual.firm_rate * rate, 4),
        "crowd": round(usual.crowd * factor, 4),
        "trusted": round(min(0.9, float(summary["trust"]["share"] or 0.0)), 4),
    }


def _measured(setting: Setting) -> dict[str, Any]:
    """What the simulator makes of a setting without an attacker."""
    with tempfile.TemporaryDirectory(prefix="clonewatch-fit-") as folder:
        return simulate("fit", Path(folder) / "log", seed=1, known={"fit": scenario(setting, None)})
