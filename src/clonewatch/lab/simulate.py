"""Labelled synthetic logs: honest people, their look-alikes, and harvests among them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clonewatch.lab.gaps import left_out
from clonewatch.lab.ids import named
from clonewatch.lab.limits import Limit, Limited
from clonewatch.lab.log_files import LogWriter, pieces, write_books, write_knobs
from clonewatch.lab.rows import DAY, Rows, joined
from clonewatch.lab.scenarios import Scenario, build, catalogue, days_of
from clonewatch.lab.world import World
from clonewatch.model.errors import OutputError, SetupError
from clonewatch.model.schema import VERSION
from clonewatch.ports.progress import Progress, Silent

Prompts = Mapping[str, Sequence[str]]


def scenarios() -> dict[str, str]:
    """Every scenario with a description of one line.

    >>> scenarios()["quiet"]
    'no harvest at all, every look-alike'
    """
    return {name: scenario.summary for name, scenario in catalogue().items()}


def simulate(
    scenario: str,
    out: Path,
    *,
    seed: int = 0,
    scale: float = 1.0,
    text: bool | Prompts = False,
    without: Sequence[str] = (),
    known: Mapping[str, Scenario] | None = None,
    limits: Mapping[str, Sequence[Limit]] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a labelled log folder and return the content of `scenario.json`.

    scale: factor on the number of accounts; rates stay. text: write messages instead of fingerprints; if prompts are
    given, as lists under "campaign" and "honest", they replace generated ones. The same arguments give the same bytes.
    without: what the log lacks, by the names in `gaps`. known: the scenarios to choose from; None for the catalogue.
    limits: what a defender does to accounts, by account id.
    Raises SetupError for an unknown scenario or a scale that is not positive, OutputError if `out` exists.
    """
    known = catalogue() if known is None else known
    if scenario not in known:
        raise SetupError(f"unknown scenario {scenario!r}", fix=f"Choose one of: {', '.join(known)}.")
    if not scale > 0:
        raise SetupError(f"scale must be positive, not {scale}", fix="1 is the usual size, 0.1 is 10 % of it.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(
            "the output folder is not empty" if out.is_dir() else "that is a file, not a folder",
            where=str(out),
            fix="Name a folder that does not exist yet.",
        )
    left_out(without)  # an unknown name fails before the work
    told = progress or Silent()
    plan = known[scenario]
    drawn: dict[str, object] = {}
    world = World(scenario, seed, scale, days_of(plan, named("days", scenario, seed)), drawn)
    build(world, plan)
    limited = Limited(world, limits or {})
    author = None
    if text is not False:
        from clonewatch.lab.text.author import Author

        author = Author(world.salt, {} if text is True else text)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".simulate-") as scratch:
        made = Path(scratch) / "log"
        made.mkdir()
        with LogWriter(world, made, author, without) as log:
            _play(world, log, told, limited)
        write_books(world, made, without)
        said = _account(world, log, seed, author is not None)
        if without:
            said["without"] = sorted(without)
        write_knobs(made, said)
        if out.exists():
            out.rmdir()
        shutil.move(made, out)
    return said


def _play(world: World, log: LogWriter, progress: Progress, limited: Limited) -> None:
    """Day by day: the traffic that starts today, plus sessions that continue from yesterday."""
    progress.start("simulate", world.days, "days")
    over: Rows = joined([])
    for day in range(world.days):
        parts = [over]
        for number, traffic in enumerate(world.traffic):
            rng = np.random.default_rng([world.salt, 3, number, day])
            parts.append(traffic.emit(day, world.topics, world.outages, rng))
        today, over = pieces(parts, (day + 1) * DAY)
        today = limited.let_through(today, world.salt)
        log.write(today)
        progress.advance(1, len(today["ts"]))
    sent = int(np.count_nonzero(log.per_account))
    progress.end(f"{log.rows:,} exchanges by {sent:,} of {world.accounts:,} accounts; the others sent nothing")


def _account(world: World, log: LogWriter, seed: int, text: bool) -> dict[str, Any]:
    roles, campaigns = world.roles()
    counted = {str(r): int((roles == r).sum()) for r in np.unique(roles.astype(str))}
    exchanges = {r: int(log.per_account[roles == r].sum()) for r in counted}
    return {
        "schema": VERSION,
        "scenario": world.name,
        "seed": seed,
        "scale": world.scale,
        "text": text,
        "days": world.days,
        "accounts": world.accounts,
        "exchanges": log.rows,
        "roles": counted,
        "exchanges_by_role": exchanges,
        "trusted": int(world.trusted().sum()),
        "campaigns": {
            name: {"accounts": int((campaigns == i).sum()), "harvested": log.harvested[name]}
            for i, name in enumerate(world.campaigns)
        },
        "knobs": world.knobs.drawn,
    }
