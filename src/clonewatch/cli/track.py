"""The command that follows groups over several scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json

EXIT_KEPT = 3


def track(
    scans: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Result folders of scans of several windows.")],
    json: Json = False,
    fail_on: Annotated[
        bool, typer.Option("--fail-on-kept", help="Exit with code 3 when the evidence of all scans keeps a group.")
    ] = False,
) -> None:
    """Follow groups over the scans of several days, and report their combined evidence.

    A daily scan repeats the same test every day, and chance flags somebody sooner or later. So the
    e-values of a group are averaged over all scans, with 0 for days without it, and the false discovery rate is
    bounded over all groups together. A group that is flagged every day is kept; one that was flagged once may not be.

    For example:

      clonewatch track scans/2026-05-*

      clonewatch track scans/week-18 scans/week-19 scans/week-20 --json
    """
    from clonewatch.pipeline.track import track_scans

    tracks, names, bound = track_scans(scans)
    told = [
        {
            "track": f"T{i:04d}",
            "kept": t.kept,
            "e_value": t.e_value,
            "accounts": len(t.accounts),
            "seen": [
                {
                    "scan": names[s.scan],
                    "campaign_id": s.group,
                    "e_value": s.e_value,
                    "flagged": s.flagged,
                    "accounts": len(s.accounts),
                }
                for s in t.sightings
            ],
        }
        for i, t in enumerate(tracks, 1)
    ]
    kept = sum(t.kept for t in tracks)
    if json:
        output.as_json({"scans": names, "false_discoveries": bound, "tracks": told})
    else:
        output.say(
            f"{kept:,} of {len(tracks):,} groups are kept by the evidence of {len(names):,} scans together, with at"
            f" most {bound:.0%} of them expected to be false."
        )
        heads = ("Track", "Kept", "Mean e", "Seen in", "Flagged in", "Accounts", "Last seen as")
        output.table("", heads, [_row(one, len(names)) for one in told], right=(2, 5))
    if fail_on and kept:
        raise typer.Exit(EXIT_KEPT)


def _row(told: dict[str, object], scans: int) -> tuple[str, ...]:
    seen: list[dict[str, object]] = told["seen"]  # type: ignore[assignment]
    flagged = sum(bool(one["flagged"]) for one in seen)
    last = seen[-1]
    return (
        str(told["track"]),
        "yes" if told["kept"] else "no",
        f"{told['e_value']:.1f}",
        f"{len(seen)} of {scans}",
        f"{flagged} of {scans}",
        f"{told['accounts']:,}",
        f"{last['campaign_id']} of {Path(str(last['scan'])).name}",
    )
