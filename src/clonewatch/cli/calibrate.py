"""The command that calibrates on a provider's own quiet period."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json, Key, LogOptions, Quiet, grouped
from clonewatch.cli.progress import watching
from clonewatch.model.errors import OutputError


@grouped
def calibrate(
    log: LogOptions,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File for the calibration, JSON.")],
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="Cut the log into windows of this many days, for more groups.")
    ] = None,
    key: Key = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn from your own quiet period how close honest groups come to the threshold.

    A p-value counts the calibration groups that come as close as the one found. The shipped ones are simulated; yours
    reflect your customers. Use logs that you are sure about: an attack in them hides later ones like it.

    For example:

      clonewatch calibrate 'logs/2026-03/*.parquet' --accounts accounts.csv --days 14 --out calibration.json

      clonewatch scan 'logs/2026-04/*.parquet' --accounts accounts.csv --calibration calibration.json --out april
    """
    from clonewatch.campaigns.calibration import THRESHOLD
    from clonewatch.pipeline.calibrate import calibrate as learn
    from clonewatch.pipeline.scan import ScanSettings

    # A calibration takes as long as a scan, so an unwritable file is reported before it starts.
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise OutputError("cannot write the calibration", where=str(out), fix="Name a file in an existing folder.")
    settings = ScanSettings(**log.settings(), key_file=key)
    with watching(quiet) as progress:
        learnt = learn(settings, days, progress)
    learnt.write(out, {"paths": list(log.paths), "days": days})
    beyond = [g for g in learnt.groups if g.threshold_ratio >= THRESHOLD]
    if json:
        output.as_json(learnt.describe() | {"file": str(out)})
        return
    output.say(f"{len(learnt.groups):,} linked groups in {learnt.logs:,} windows ({learnt.source}).")
    output.table("", ("Stratum", "Groups"), [(n, f"{k:,}") for n, k in learnt.describe()["strata"].items()], right=(1,))
    if beyond:
        output.say(
            f"Warning: {len(beyond):,} of them lie beyond the threshold. Was the period quiet? Scan it and examine"
            " them before you use this file: everything in it is taken as honest."
        )
    output.say(f"Wrote {out}. Strata of fewer than 100 groups are filled up with shipped ones.")
