"""The commands that generate labelled logs and score a scan against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json, Seed
from clonewatch.cli.progress import watching
from clonewatch.model.errors import SetupError


def simulate(
    scenario: Annotated[str | None, typer.Argument(metavar="SCENARIO", help="Its name; --list names them.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="New folder for the log.")] = None,
    seed: Seed = 0,
    scale: Annotated[float, typer.Option("--scale", help="Factor on the number of accounts; 0.1 is a tenth.")] = 1.0,
    text: Annotated[bool, typer.Option("--text", help="Write generated messages in place of fingerprints.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Leave out payment, network, trusted, ...; repeatable."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
) -> None:
    """Write a labelled synthetic log: honest people, their look-alikes, and a harvest among them.

    Everything is simulated, for trying the detector. The labels are in DIR/labels; a scan never reads them.

    For example:

      clonewatch simulate --list

      clonewatch simulate quiet --out log --seed 1 --scale 0.1
    """
    from clonewatch.lab import simulate as lab

    if list_all:
        output.table("", ("Scenario", "What it is"), sorted(lab.scenarios().items()))
        return
    if scenario is None or out is None:
        raise SetupError("a scenario and --out are needed", fix="See `clonewatch simulate --list` for the scenarios")
    with watching(False) as progress:
        said = lab.simulate(scenario, out, seed=seed, scale=scale, text=text, without=without or (), progress=progress)
    output.say(f"Wrote {out}", *(f"{key}: {value:,}" for key, value in said.items() if type(value) is int))
    output.say(f"Next: clonewatch scan {out} --out RESULT, then clonewatch evaluate RESULT {out}/labels")


def evaluate(
    scan_dir: Annotated[Path, typer.Argument(metavar="SCAN_DIR", help="Folder a scan wrote.")],
    labels_dir: Annotated[
        Path, typer.Argument(metavar="LABELS_DIR", help="The labels folder, or the log that holds it.")
    ],
    json: Json = False,
) -> None:
    """Score a scan against labels: accounts, campaigns and exchanges found, and honest ones wrongly hit.

    For example:

      clonewatch evaluate result log/labels
    """
    from clonewatch.lab.evaluate import evaluate as score
    from clonewatch.pipeline.scan_result import table_paths

    scores = score(table_paths(scan_dir), labels_dir)
    if json:
        output.as_json(scores)
        return
    for part, found in scores.items():
        output.table(part, ("Measure", "Value"), _flat(found), right=(1,))


def _flat(found: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested scores as lines, names joined by dots."""
    if isinstance(found, dict):
        return [
            line for key, value in found.items() for line in _flat(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(found, float):
        return [(prefix, f"{found:.4f}")]
    return [(prefix, "no denominator" if found is None else f"{found:,}" if type(found) is int else str(found))]
