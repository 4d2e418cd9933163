"""The command that says before a scan what a log allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.cli import output
from clonewatch.cli.options import Accounts, Events, Format, Json, Limit, Map, Paths
from clonewatch.model.errors import ClonewatchError, InputError, MappingError
from clonewatch.model.limits import parsed

if TYPE_CHECKING:
    from clonewatch.ports.signal import Signal


def signals() -> list[Signal]:
    """Every signal of this version, linking ones first."""
    from clonewatch.pipeline.detection.signals import signals as every

    return every()


def doctor(
    paths: Paths,
    mapping: Map = None,
    accounts: Accounts = None,
    events: Events = None,
    format: Format = "auto",
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Say what a log allows before you scan it: columns filled, signals that can work, and what more would buy.

    Reads the first 50,000 rows and writes nothing. For a log of unknown format it lists the keys that it saw, with
    types and shapes and never a value, and prints a first field map to save and check.

    For example:

      clonewatch doctor logs/today.ndjson

      clonewatch doctor access.log --map nginx

      clonewatch doctor logs/ --accounts accounts.csv
    """
    from clonewatch.adapters.mapping import presets
    from clonewatch.adapters.reading import open_log
    from clonewatch.pipeline.intake.staged import refuse_ended
    from clonewatch.pipeline.look import look

    try:
        chosen = Path(mapping) if mapping else None
        sides = {"accounts": accounts, "events": events}
        log = open_log(paths, format=format, mapping=chosen, limits=parsed(limit or ()), **sides)
        found = look(log)
    except (InputError, MappingError) as error:
        if not mapping and not _is_beside(error.where, paths, accounts, events) and _survey(paths, error, json):
            raise InputError(
                f"a field map is needed: {error.what}",
                where=error.where,
                fix="Save the map above as map.toml, check it, then: clonewatch doctor LOG --map map.toml",
            ) from error
        raise
    if json:
        output.as_json(found)
    else:
        _tell(found)
        if mapping and mapping not in presets():
            for column, path in found["unfilled"].items():
                output.say(f"The field map finds no value for {column}: no row has {path!r}.")
    refuse_ended(log.ended, 0.0, "A scan of it lacks the rest, and ends with this exit code too.")


def _is_beside(where: str, paths: list[str], *given: Path | None) -> bool:
    """Whether an error is about accounts or events, which no field map is for."""
    from clonewatch.adapters.inputs import find_inputs

    found = find_inputs(paths)
    return where in map(str, [*found.accounts, *found.events, *given])


def _survey(paths: list[str], error: ClonewatchError, json: bool) -> bool:
    """Say what an unknown log holds, and a first map for it; False where it is no JSON, CSV or Parquet."""
    from clonewatch.adapters.mapping import fitting_presets
    from clonewatch.adapters.starter_map import guesses, starter
    from clonewatch.adapters.survey import kind, shape, shown, survey

    found = survey(paths)
    if found is None:
        return False
    guessed = guesses(found)
    toml = starter(found, guessed)
    fitting = fitting_presets({part for key in found.keys for part in (key.path, key.path.partition(".")[0])})
    keys = [
        {
            "key": shown(key.path),
            "share": len(key.values) / found.rows,
            "type": kind(key),
            "shape": shape(key.values[0]),
        }
        for key in found.keys
    ]
    if json:
        columns = {guess.column: guess.path for guess in guessed}
        output.as_json({
            "problem": error.what, "file": found.file, "rows": found.rows, "keys": keys, "guessed": columns,
            "map": toml, "presets": fitting,
        })  # fmt: skip
        return True
    output.say(
        f"This log cannot be read as it is. These are the keys of the first {found.rows:,} rows of {found.file}:"
    )
    rows = ((one["key"], f"{one['share']:.0%}", one["type"], one["shape"]) for one in keys)
    output.table("", ("Key", "Rows filled", "Type", "Shape of a value"), rows, right=(1,))
    for preset in fitting:
        output.say("", f"The preset {preset} was made for such a log: clonewatch doctor LOG --map {preset}")
    output.say("", "A field map to start from:", "")
    output.say(*toml.splitlines())
    return True


_VOUCHED = {
    "signed": "are signed, so that a client cannot alter them",
    "gateway": "are set by the gateway",
    "claimed": "are claimed by the client, who may write anything: weak evidence",
    "unknown": "come from an unknown source; fill `end_user_provenance` (signed, gateway or claimed)",
}


def _tell_end_users(vouched: dict[str, float]) -> None:
    from clonewatch.report.numerals import share

    for who, part in vouched.items():
        output.say(f"End-user ids: {share(part, 1)} {_VOUCHED[who]}.")


def _tell(found: dict[str, Any]) -> None:
    from clonewatch.adapters.units import in_words
    from clonewatch.report.numerals import share

    output.say(
        f"Looked at {found['rows']:,} rows of {', '.join(found['formats'])}; {found['rejected']:,} were rejected."
    )
    for reason, n in found["reasons"].items():
        output.say(f"  {n:,} times: {reason}")
    if found["repeats"]["merged"]:
        output.say(f"{found['repeats']['merged']:,} rows repeat an exchange; a scan merges them.")
    if found["repeats"]["shared"]:
        output.say(f"{found['repeats']['shared']:,} rows share their exchange id with other calls; a scan keeps them.")
    output.table(
        "Dropped values",
        ("Column", "Values", "Reason"),
        ((one["column"], f"{one['values']:,}", one["reason"]) for one in found["dropped"]),
        right=(1,),
    )
    for column, units in found["units"].items():
        output.say(f"Numbers in {column} are {in_words(units)}.")
    there = [(name, share(part, 1)) for name, part in found["columns"].items() if part]
    output.table("Columns with values", ("Column", "Rows filled"), there, right=(1,))
    on, off = ([c for c in found["signals"] if c["works"] is works] for works in (True, False))
    output.table(
        "Signals that can work",
        ("Signal", "Kind", "Family", "Catches"),
        ((c["name"], c["kind"], c["family"], c["catches"]) for c in on),
    )
    output.table(
        "Signals that cannot, and what adding the columns would buy",
        ("Signal", "Kind", "Family", "Add", "Would catch"),
        ((c["name"], c["kind"], c["family"], ", ".join(c["missing"]), c["catches"]) for c in off),
    )
    _tell_reach(found["reach"], bool(found["columns"]["accounts.anchor"]))
    _tell_ring(found["trusted_share"], found["least_ring"])
    _tell_end_users(found["end_users"])
    for warning in found["warnings"]:
        output.say(f"Warning: {warning}")


def _tell_reach(reach: dict[str, Any], marked: bool) -> None:
    """Which families of evidence the log can give, beside what a flag needs."""
    tests, links, by_itself = reach["tests"], reach["links"], reach["deceptive_links"]
    fewer = "" if marked else " (2 where too little is known to infer whom to trust)"
    short = "" if reach["enough"] else " Nothing can be flagged in this log."
    output.say(
        f"Families of tests that can count towards a flag: {len(tests)} ({', '.join(tests) or 'none'}).",
        f"A flag needs {reach['needed']}{fewer}.{short}",
        f"Families that can link accounts: {len(links)} ({', '.join(links) or 'none'}).",
    )
    if by_itself:
        output.say(f"Links that are deceptive by themselves can show: {', '.join(by_itself)}.")
    else:
        other = "only behaviour can show that" if reach["deceptive_tests"] else "nothing can be flagged"
        output.say(f"No column lets a link show that accounts pose as unrelated: {other}.")
    if not marked:
        output.say(
            "No account is marked as trusted: trust will be inferred from behaviour, and more evidence is required.",
            "Better: mark accounts that you know in the column `anchor` of an accounts file (--accounts FILE).",
        )


def _tell_ring(trusted: float | None, accounts: int | None) -> None:
    """How many accounts one shared thing can link at the log's share of trusted accounts."""
    from clonewatch.report.numerals import share

    if trusted and accounts:
        output.say(
            f"{share(trusted, 1)} of the accounts are trusted: one thing in common links {accounts:,} accounts or more"
            " well enough for a flag. Fewer need several things in common, or more trusted accounts beside them."
        )
