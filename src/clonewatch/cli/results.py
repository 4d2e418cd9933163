"""The commands that read a finished scan: list campaigns, show one, explain an account, render the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.campaign_list import ask, list_campaigns, row_of
from clonewatch.cli.options import Json, Scan, ScanFolder
from clonewatch.model.errors import InputError
from clonewatch.model.text_files import plain

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

# Enough to see the pattern; --json and the tables hold the rest.
MEMBERS_SHOWN = 20
EXCHANGES_SHOWN = 5
OWN_EXCHANGES_SHOWN = 10


def campaigns(scan: ScanFolder, json: Json = False) -> None:
    """List the groups of a scan, the first to look at first: flagged ones, those for review, those only linked.

    For example:

      clonewatch campaigns result
    """
    from clonewatch.report.chapters import ranked
    from clonewatch.report.render import headline

    tables = {name: _read(scan, name) for name in ("campaigns", "members")}
    rows = ranked(tables)
    if json:
        output.as_json([row_of(row) for row in rows])
        return
    output.say(headline(tables).sentence)
    ask(rows, scan)
    if rows:
        list_campaigns(rows)


def show(
    campaign: Annotated[str, typer.Argument(metavar="ID", help="A group's id, as `clonewatch campaigns` lists it.")],
    scan: Scan,
    json: Json = False,
) -> None:
    """Show one group: what it did, the evidence for and against, what its accounts share, who is in it.

    For example:

      clonewatch show C0001 --scan result
    """
    rows = _of(scan, "campaigns", "campaign_id", campaign) or _of(scan, "campaigns", "campaign_id", campaign.upper())
    if not rows:
        known = ", ".join(_read(scan, "campaigns")["campaign_id"].to_pylist()[:10]) or "none"
        raise InputError(f"no campaign {campaign!r} in this scan", where=str(scan), fix=f"There are: {known}")
    row = rows[0]
    campaign = row["campaign_id"]
    reasons, attributes = (_of(scan, name, "campaign_id", campaign) for name in ("evidence", "attributes"))
    members = _of(scan, "members", "campaign_id", campaign)
    members.sort(key=lambda m: (-(m["membership"] or 0.0), m["account_id"]))
    attributes.sort(key=lambda t: -(t["weight"] or 0.0))
    if json:
        output.as_json({"campaign": row_of(row), "evidence": reasons, "attributes": attributes, "members": members})
        return
    _head(row, reasons)
    _evidence(reasons)
    _attributes("What the accounts share", attributes)
    _members(members, row["flagged"])


def why(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An account id, as in the log.")],
    scan: Scan,
    json: Json = False,
) -> None:
    """Explain why an account is in a campaign, or that it is in none: role, evidence, shared attributes, exchanges.

    For example:

      clonewatch why acct-1042 --scan result
    """
    places = [_place(scan, account, member) for member in _of(scan, "members", "account_id", account)]
    if json:
        output.as_json({"account": account, "campaigns": places})
        return
    if not places:
        output.say(
            f"{account} is in no campaign and in no linked group of this scan.",
            "Either it shares nothing rare with unrelated accounts that the signals could see, or it had no exchange",
            "in this log. That does not clear it: `clonewatch doctor` says what could not be seen.",
            "Check the spelling: a result does not list accounts of no group, so a mistyped id looks the same.",
        )
        near = _alike(scan, account)
        if near:
            output.say(f"Ids like it that are in a group: {', '.join(near)}")
    for place in places:
        _tell_place(account, place)


def report(scan: ScanFolder) -> None:
    """Render report.html of a scan again, from its tables.

    For example:

      clonewatch report result
    """
    from clonewatch.cli.doctor import signals
    from clonewatch.pipeline.reporting.result_folder import replace_report
    from clonewatch.pipeline.scan_result import load
    from clonewatch.report.render import render

    result = load(scan)
    replace_report(scan, render(result.tables, result.summary, signals()))
    output.say(f"Wrote {scan / 'report.html'}")


def _read(scan: Path, name: str, chosen: pc.Expression | None = None) -> pa.Table:
    from clonewatch.pipeline.scan_result import read_table

    return read_table(scan, name, chosen)


def _of(scan: Path, name: str, column: str, value: str) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    # An id that is no Unicode is in no table, and spelled out it is not either.
    rows: list[dict[str, Any]] = _read(scan, name, pc.field(column) == plain(value)).to_pylist()
    return rows


def _place(scan: Path, account: str, member: dict[str, Any]) -> dict[str, Any]:
    """One campaign an account is in, with what links it to the others."""
    campaign = member["campaign_id"]
    carried = {
        (t["signal"], t["attribute"])
        for t in _of(scan, "attribute_accounts", "account_id", account)
        if t["campaign_id"] == campaign
    }
    attributes = [
        t for t in _of(scan, "attributes", "campaign_id", campaign) if (t["signal"], t["attribute"]) in carried
    ]
    found = _of(scan, "campaigns", "campaign_id", campaign)
    return {
        "campaign": row_of(found[0]) if found else None,
        "member": member,
        "attributes": sorted(attributes, key=lambda t: -(t["weight"] or 0.0)),
        "evidence": _of(scan, "evidence", "campaign_id", campaign),
        "exchanges": _own_exchanges(scan, account, campaign),
    }


def _alike(scan: Path, account: str) -> list[str]:
    """Ids of accounts in groups that a mistyped one may have meant, the closest first."""
    from difflib import get_close_matches

    return get_close_matches(account, sorted(set(_read(scan, "members")["account_id"].to_pylist())), n=3, cutoff=0.8)


def _members(members: list[dict[str, Any]], flagged: bool) -> None:
    """Members as a table; of a group that is not flagged nothing is attributed, so there is nothing to count."""
    from clonewatch.report.phrases import role

    heads = ("Account", "Role", "Membership", "Attributed")[: 4 if flagged else 2]
    rows = (
        (m["account_id"], role(m["role"], flagged).name, f"{m['membership'] or 0:.2f}", m["harvested_exchanges"])
        for m in members[:MEMBERS_SHOWN]
    )
    output.table(
        f"Members ({min(MEMBERS_SHOWN, len(members))} of {len(members):,})",
        heads,
        (row[: len(heads)] for row in rows),
        right=(2, 3),
    )


def _own_exchanges(scan: Path, account: str, campaign: str) -> list[dict[str, Any]]:
    """The exchanges of an account that most likely belong to a campaign, surest first."""
    import pyarrow.compute as pc

    mine = _read(scan, "attribution", (pc.field("account_id") == account) & (pc.field("campaign_id") == campaign))
    surest = mine.sort_by([("posterior", "descending"), ("exchange_id", "ascending")])
    rows: list[dict[str, Any]] = surest.slice(0, OWN_EXCHANGES_SHOWN).to_pylist()
    return rows


def _tell_place(account: str, place: dict[str, Any]) -> None:
    from clonewatch.report.numerals import count
    from clonewatch.report.phrases import role

    member, row = place["member"], place["campaign"]
    flagged = bool(row and row["flagged"])
    name, means = role(member["role"], flagged)
    output.say(
        f"{account} is in {member['campaign_id']} as {name}{f': {means}' if means else ''}.",
        f"Membership {member['membership'] or 0:.2f} of 1; {count(member['harvested_exchanges'])} of its exchanges are "
        "attributed."
        if flagged
        else "Nothing is attributed to a group that is not flagged.",
    )
    if row:
        _head(row, place["evidence"])
    _attributes(f"What {account} shares with others of the group", place["attributes"])
    if not place["attributes"]:
        output.say("This account carries none of the strongest shared attributes on record.")
    if place["exchanges"] and flagged:
        listed = ", ".join(f"{x['exchange_id']} ({x['posterior']:.2f})" for x in place["exchanges"])
        output.say("", f"Its exchanges that most likely belong to the group, with their posterior: {listed}")
    _evidence(place["evidence"])


def _head(row: dict[str, Any], reasons: list[dict[str, Any]]) -> None:
    from clonewatch.model.rulings import counted
    from clonewatch.report import standing
    from clonewatch.report.numerals import count, day, number
    from clonewatch.report.phrases import accounts_of, level

    outcome = standing.outcome(row)
    asked = f"The question to answer: {standing.question(row)}" if outcome == "review" else ""
    rung = level(row["level"])
    when = f", from {day(row['first_ts'])} to {day(row['last_ts'])} (UTC)" if row["first_ts"] else ""
    explained = counted(r["ruled_out"] for r in reasons if (r["bits"] or 0.0) > 0)
    state = {"flagged": "flagged", "review": "for review, and not flagged"}.get(outcome, "linked, and not flagged")
    output.say(
        f"{row['campaign_id']}: {accounts_of(row['accounts'])}, {state}.",
        " ".join(said for said in (f"Level {rung.code}, {rung.name}.", rung.says, explained, rung.not_said) if said),
        f"{count(row['harvested_exchanges'])} of {count(row['exchanges'])} exchanges attributed{when}.",
        f"Score {number(row['score'])} bits. {standing.verdict(row)}".rstrip(),
        standing.honest(row),
        *(said for said in (*standing.looked_at(row), asked) if said),
        *(
            said
            for said in (standing.told_apart(row), standing.steady(row), standing.merged(row), standing.seen(row))
            if said
        ),
        f"What would lower the level: {rung.lowered_by}",
    )


def _evidence(reasons: list[dict[str, Any]]) -> None:
    from clonewatch.cli.doctor import signals
    from clonewatch.report.numerals import number
    from clonewatch.report.phrases import strength

    shows = {signal.name: signal.card.excluded_by for signal in signals()}
    told: set[tuple[str, ...]] = set()
    for title, chosen in (
        ("For", [r for r in reasons if (r["bits"] or 0.0) > 0]),
        ("Against", [r for r in reasons if (r["bits"] or 0.0) < 0]),
        ("Without a result", [r for r in reasons if not r["bits"]]),
    ):
        if not chosen and title == "Without a result":
            continue
        output.say("", f"{title}:" if chosen else f"{title}: nothing on record")
        for r in sorted(chosen, key=lambda r: -abs(r["bits"] or 0.0)):
            measure = f"{strength(r['bits'])}, {number(r['bits'])} bits"
            output.say(f"  {r['signal']} ({r['family']}), {measure}: {r['reason'] or '-'}")
            if title == "For":
                output.say(f"    innocent explanation: {r['innocent'] or 'none on record'}")
                output.say(f"    what would show it: {shows.get(r['signal'], 'not on record')}")
                output.say(f"    in this log: {r['ruled_out'] or 'not tested, so it stays open'}")
            ids = tuple(map(str, (r["exchange_ids"] or [])[:EXCHANGES_SHOWN]))
            if ids and ids not in told:
                output.say(f"    for example: {', '.join(ids)}")
                told.add(ids)


def _attributes(title: str, attributes: list[dict[str, Any]]) -> None:
    from clonewatch.report.chapters import of_each_kind
    from clonewatch.report.numerals import number

    if attributes:
        shown = of_each_kind(attributes)
        left = len(attributes) - len(shown)
        output.table(
            title + (f" ({left:,} more in attributes.parquet)" if left > 0 else ""),
            ("Kind", "Keyed value", "In the group", "In the log", "Trusted", "Weight"),
            (
                (t["signal"], t["attribute"], t["entities"], t["users"], t["trusted"], number(t["weight"]))
                for t in shown
            ),
            right=(2, 3, 4, 5),
        )
