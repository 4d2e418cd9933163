"""The commands of the policy lab: an exercise of policies against an attacker who adapts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json, Quiet
from clonewatch.cli.progress import watching
from clonewatch.model.errors import SetupError

EXIT_BEATEN = 3

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PlaybookFile = Annotated[
    Path, typer.Argument(metavar="PLAYBOOK", help="TOML file of an exercise, as examples/playbook.toml.")
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="DIR", help="Folder of the result; keeps the episodes, so that it resumes."),
]
Cores = Annotated[int | None, typer.Option("--cores", min=1, max=256, help="Episodes at a time; default: all cores.")]


@app.callback()
def lab() -> None:
    """Try policies on a simulated attacker who adapts: what it pays, what leaks, and what honest accounts suffer.

    Everything is simulated; nothing talks to a service. docs/lab.md says what is modelled and what is assumed.

    For example:

      clonewatch lab run examples/playbook.toml --out exercise
    """


@app.command("run", short_help="Play an exercise.")
def run(
    playbook: PlaybookFile,
    out: Out,
    cores: Cores = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Play an exercise and write exercise.json and exercise.html. Stopped, it goes on where it was.

    Exit code 3 where a strategy went unflagged that shares more than the evasion-cost bound allows.

    For example:

      clonewatch lab run examples/playbook.toml --out exercise
    """
    told = _played(playbook, out, cores, quiet)
    if json:
        output.as_json(told)
    else:
        _say(told)
        output.say(f"Page: {out / 'exercise.html'}")
    if told["bound"]["beaten"]:
        raise typer.Exit(EXIT_BEATEN)


@app.command("compare", short_help="Play two exercises, side by side.")
def compare(
    playbook: PlaybookFile,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="The playbook to compare with.")],
    out: Out,
    cores: Cores = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Play two exercises, in folders `a` and `b` of the result, and say how their conclusions differ.

    For example:

      clonewatch lab compare examples/playbook.toml milder.toml --out exercise
    """
    pair = [_played(one, out / name, cores, quiet) for one, name in ((playbook, "a"), (other, "b"))]
    if json:
        output.as_json({"a": pair[0], "b": pair[1]})
        return
    second = {one["name"]: one for one in pair[1]["conclusions"]}
    rows = [
        (one["says"], _number(one["value"]), _number(second[one["name"]]["value"]), one["aim"])
        for one in pair[0]["conclusions"]
        if one["name"] in second
    ]
    rows.append(("strategy that gains most", pair[0]["best"], pair[1]["best"], ""))
    output.table("", ("What", pair[0]["playbook"], pair[1]["playbook"], "Aim"), rows, right=(1, 2))


@app.command("fit", short_help="Print a world like that of your own scan.")
def fit(
    scan_dir: Annotated[Path, typer.Argument(metavar="SCAN_DIR", help="Folder that a scan wrote.")],
    most: Annotated[
        int, typer.Option("--most", min=100, max=500_000, help="Accounts of the world; a larger log is scaled down.")
    ] = 5_000,
) -> None:
    """Print the table [world] of a playbook with the size, the rates and the trusted share of a scan of your own log.

    Nothing of its content is copied: three numbers are.

    For example:

      clonewatch lab fit result
    """
    from clonewatch.exercise.fitting import fitted

    output.say("[world]", *(f"{name} = {value}" for name, value in fitted(scan_dir, most).items()))


def _played(playbook: Path, out: Path, cores: int | None, quiet: bool) -> dict[str, Any]:
    _need_extras()
    import msgspec

    from clonewatch.exercise.playbook import read
    from clonewatch.exercise.run import run as play
    from clonewatch.exercise.workers import Workers
    from clonewatch.model import whole_files
    from clonewatch.report.exercise_page import exercise_page

    held = read(playbook)
    out.mkdir(parents=True, exist_ok=True)
    with watching(quiet) as progress, Workers(out, cores or os.cpu_count() or 1, progress) as workers:
        told = play(held, workers)
    # Once through JSON: the page shows what the file says.
    data = msgspec.json.format(msgspec.json.encode(told), indent=1)
    whole_files.write(out / "exercise.json", data, what="the result")
    whole_files.write(out / "exercise.html", exercise_page(told).encode(), what="the page")
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


def _need_extras() -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("optuna", "cel")):
        raise SetupError("the policy lab needs two extras", fix="pip install 'clonewatch[lab]'")


def _say(told: Mapping[str, Any]) -> None:
    rows = [
        (one["says"], _number(one["value"]), one["aim"], "yes" if one["holds"] else "no") for one in told["conclusions"]
    ]
    output.table(
        f"{told['best']} gains most against {told['policies'][0]}", ("What", "Value", "Aim", "Met"), rows, right=(1,)
    )
    for policy, points in told["frontiers"].items():
        lines = [
            (
                one["strategy"],
                _number(one["multiple"][1]),
                *(f"{100 * one[name][1]:.1f}" for name in ("share", "before")),
                str(one["honest_suspended"]),
            )
            for one in points
        ]
        heads = ("Strategy", "Cost, times undefended", "Useful, %", "Before containment, %", "Honest suspended")
        output.table(f"Frontier against {policy}", heads, lines, right=(1, 2, 3, 4))
    for one in (told["rounds"] or {}).get("rounds", []):
        output.say(
            f"Round {one['round']}: value {one['value']:,.0f} dollars, gap {one['gap']:,.0f} among the responses found;"
            f" attack {one['attack'] or 'none'}, defence {one['new_policy'] or 'none'}."
        )
    if told["rounds"]:
        output.say(f"The rounds ended in: {told['rounds']['ending']}.")
    for one in told["bound"]["beaten"]:
        output.say(
            f"Finding: {one['name']} shares {' and '.join(one['shared'])} among more than {one['users']:,} accounts"
            " and was never flagged."
        )
    turned = sorted(
        {f"{one['card']} ({', '.join(one['flips'])})" for one in told["sensitivity"]["turned"] if one["flips"]}
    )
    output.say(f"Cards that turn a conclusion: {'; '.join(turned) or 'none of those tried'}.")
    effort = told["effort"]
    output.say(f"{effort['episodes']:,} episodes, {effort['strategies']:,} strategies, {effort['seeds']:,} logs each.")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.3g}"
