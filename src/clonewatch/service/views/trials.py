"""Policies as the console shows them: read for each page, and tried on kept results once for each state of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from clonewatch.cases.store import Store
from clonewatch.enforcement.trial import trial
from clonewatch.model.errors import ClonewatchError
from clonewatch.policy.matching import Failed, failures
from clonewatch.policy.policy_file import Policy, PolicyError, read
from clonewatch.report.yield_chart import Point, yield_chart
from clonewatch.service.views.results import Stamp, stamp_of

Days = tuple[date | None, date | None]


class Shown(NamedTuple):
    """One policy. faults: what is wrong with the file, if it cannot be used. tried: figures of its backtest, if any.

    problem: why there is no backtest.
    """

    file: str
    policy: Policy | None
    faults: list[str]
    failed: list[Failed]
    tried: dict[str, Any] | None = None
    assumed: dict[str, Any] | None = None
    chart: Markup = Markup("")
    problem: str = ""


def shown(files: Sequence[Path], results: Sequence[Path], store: Store, now: int, days: Days) -> list[Shown]:
    """Policies with their backtests on results. now: seconds since 1970. days: the first and the last."""
    return [_shown(file, tuple(results), store, now, days) for file in files]


def usable(files: Sequence[Path]) -> list[Policy]:
    """Those policies that have no fault."""
    return [one.policy for one in map(_read, files) if one.policy]


def _shown(file: Path, results: tuple[Path, ...], store: Store, now: int, days: Days) -> Shown:
    held = _read(file)
    if not held.policy or not held.policy.rules:
        return held
    if not results:
        return held._replace(problem="No result was named to try it on.")
    try:
        with store.reading() as reading:
            size = reading.size()
        text = file.read_bytes()
        told = _tried(file, text, tuple((one, stamp_of(one)) for one in results), store, size, days, now // 3_600)
    except (ClonewatchError, OSError) as error:
        return held._replace(problem=f"{getattr(error, 'what', str(error))}.")
    (one,) = told["policies"]
    points = [Point(step["other"], step["preventable"]) for step in one["steps"]]
    return held._replace(tried=one, assumed=told, chart=yield_chart([points], one["harvested"]))


@lru_cache(maxsize=16)
def _tried(
    file: Path,
    _text: bytes,
    results: tuple[tuple[Path, Stamp], ...],
    store: Store,
    _size: int,
    days: Days,
    hour: int,
) -> dict[str, Any]:
    """A backtest; the same again while policy, results and log stay as they are."""
    return trial([read(file)], [place for place, _ in results], store, hour * 3_600, days)


def _read(file: Path) -> Shown:
    try:
        policy = read(file)
    except PolicyError as error:
        faults = [f"Line {one.line}: {one.what}" + (f". {one.fix}" if one.fix else "") for one in error.faults]
        return Shown(file.name, None, faults, [])
    except ClonewatchError as error:
        return Shown(file.name, None, [getattr(error, "what", str(error))], [])
    return Shown(file.name, policy, [], list(failures(policy)))
