"""The commands on what other providers tell: take it in, try it on a kept log, switch it on, rest on it, answer it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import CaseName, ChangeOptions, StoreOptions, today
from clonewatch.cli.options import Accounts, Format, Json, Key, Map, grouped
from clonewatch.cli.share import SHARING, Out, SharingFile, plain, settings
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.peering.arriving import Taken
    from clonewatch.peering.trial import Matched

EXIT_REFUSED = 3
Peer = Annotated[str, typer.Argument(metavar="PEER", help="Name of a provider, as it signs what it tells.")]
Document = Annotated[str, typer.Argument(metavar="DOCUMENT", help="Id of a release, as `share list` shows it.")]
Logs = Annotated[
    list[str], typer.Option("--log", metavar="PATH", help="A kept log, such as that of last week; may be repeated.")
]


@grouped
def import_(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Documents of one provider, or folders.")],
    peer: Annotated[
        str, typer.Option("--from", metavar="PEER", help="Who gave them to you; it has to be who signs them.")
    ],
    change: ChangeOptions,
    sharing: SharingFile = SHARING,
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and take in whatever appears in one folder.")] = False,
    json: Json = False,
) -> None:
    """Take in what another provider tells. It counts for nothing until it was tried, and switched on.

    Indicators are compared with warning lists first. A retraction ends every measure against accounts of cases that
    rest on it too (`share rely`), at once; gateways hear of it with the next publishing. One that is refused stops no
    other; then the exit code is 3.

    For example:

      clonewatch share import inbox/south --from south

      clonewatch share import inbox/south --from south --follow
    """
    held, chosen = change.open(), settings(sharing)
    from clonewatch.cli.policy import until_stopped
    from clonewatch.peering import arriving
    from clonewatch.sharing.warning_lists import read

    if peer == chosen.sender:
        raise SetupError("that is this provider's own name", fix="Name who gave it to you with --from")
    lists = read(chosen.lists)
    if follow:
        if len(paths) != 1 or not paths[0].is_dir():
            raise SetupError("--follow takes one folder", fix="Name the folder that the transport writes into")
        told = (lambda one: output.as_json(one._asdict())) if json else (lambda one: output.say(_line(one)))
        arriving.follow(held, paths[0], peer, lists, change.who, told, output.complain, until_stopped())
        return
    found = arriving.take_in_files(held, paths, peer, lists, change.who())
    if json:
        output.as_json({"taken": [one._asdict() for one in found]})
    else:
        output.say(*(_line(one) for one in found), "" if found else "There is no document here.")
    if any(one.refused for one in found):
        raise typer.Exit(EXIT_REFUSED)


@grouped
def feed(
    peer: Peer,
    change: ChangeOptions,
    on: Annotated[bool, typer.Option("--on", help="Its word counts: cases may rest on it too.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Its word does not count.")] = False,
    json: Json = False,
) -> None:
    """Say whether another provider's word counts. Try it on a kept log first: clonewatch share trial.

    For example:

      clonewatch share feed south --on
    """
    held = change.open()
    from clonewatch.cases.sharing import OFF, ON, switch

    if on == off:
        raise SetupError("it takes one of two", fix="Pass --on or --off")
    with held.writing() as store:
        switch(store, peer, ON if on else OFF, change.who())
    state = ON if on else OFF
    output.as_json({"peer": peer, "state": state}) if json else output.say(f"{peer} is {state}.")


@grouped
def trial(
    log: Logs,
    at: StoreOptions,
    sharing: SharingFile = SHARING,
    peer: Annotated[str | None, typer.Option("--from", metavar="PEER", help="Only what this provider told.")] = None,
    case: Annotated[str | None, typer.Option("--case", metavar="CASE", help="Only what its accounts have.")] = None,
    mapping: Map = None,
    format: Format = "auto",
    accounts: Accounts = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Show what others' indicators would have matched in a kept log, honest accounts included. Nothing is changed.

    Whatever is on a warning list, over, or taken back is compared with nobody, and said. Behaviours, timings and
    attacks are for people to read. A match is a hint to look, and no evidence: nothing of it enters a scan.

    For example:

      clonewatch share trial --log logs/last-week --from south

      clonewatch share trial --log logs/last-week --case K0001
    """
    held, chosen = at.open(), settings(sharing)
    from clonewatch.adapters.reading import open_log
    from clonewatch.cases.sharing import heard
    from clonewatch.fingerprints.keys import load_key
    from clonewatch.peering.trial import trial as compare

    names = Path(mapping) if mapping else None
    with held.reading() as store:
        wanted = [one for one in heard(store) if peer in (None, one.peer)]
        name = store.case(case).case if case else ""
        found = compare(
            store,
            wanted,
            lambda: open_log(tuple(log), format=format, mapping=names, accounts=accounts),
            load_key(key),
            chosen.group,
            today(),
        )
    if name:
        found = [one for one in found if name in dict(one.cases)]
    if json:
        output.as_json({"matches": [{**one._asdict(), "heard": one.heard._asdict()} for one in found]})
        return
    _say_matches(found)


@grouped
def rely(case: CaseName, document: Document, change: ChangeOptions, json: Json = False) -> None:
    """Say that a case rests on what another provider told too. It is in the log, and its retraction reaches the case.

    It is never enough: what is done about the case takes your own evidence, your own ruling and two persons.

    For example:

      clonewatch share rely K0001 72b6bd8a-e1f3-40d6-a5d3-7249fdbb40f7
    """
    held = change.open()
    from clonewatch.cases.sharing import rely as rest

    with held.writing() as store:
        rest(store, case, document, change.who())
    output.as_json({"case": case, "document": document}) if json else output.say(f"{case} rests on {document} too.")


@grouped
def answer(
    document: Document,
    out: Out,
    change: ChangeOptions,
    opinion: Annotated[
        str | None, typer.Option("--opinion", metavar="WORD", help="strongly-disagree to strongly-agree.")
    ] = None,
    sighting: Annotated[
        str | None, typer.Option("--sighting", metavar="WORD", help="seen, not-seen or seen-with-honest-accounts.")
    ] = None,
    indicator: Annotated[str, typer.Option("--indicator", metavar="ID", help="One of its indicators only.")] = "",
    sharing: SharingFile = SHARING,
    json: Json = False,
) -> None:
    """Tell whoever sent a release that you disagree, or that you saw it: a word from a list, no count and no text.

    For example:

      clonewatch share answer 72b6bd8a-e1f3-40d6-a5d3-7249fdbb40f7 --opinion disagree --out outbox
    """
    held, chosen = change.open(), settings(sharing)
    from clonewatch.peering.speaking import speak
    from clonewatch.sharing.word import OPINION, SAID, SIGHTING

    if (opinion is None) == (sighting is None):
        raise SetupError("it takes one of two", fix="Pass --opinion WORD or --sighting WORD")
    what, said = (OPINION, opinion) if opinion is not None else (SIGHTING, sighting)
    if said not in SAID[what]:
        raise SetupError(f"there is no {what} {said!r}", fix=f"Use one of: {', '.join(SAID[what])}")
    kept = speak(held, document, what, said, chosen.sender, out, change.who(), indicator)
    output.as_json(plain(kept)) if json else output.say(f"{what.capitalize()} {kept.document} is in {out}.")


@grouped
def peers(at: StoreOptions, json: Json = False) -> None:
    """List providers from whom something came: whether their word counts, and how right they were by rulings here.

    For example:

      clonewatch share peers
    """
    held = at.open()
    from clonewatch.peering.speaking import scores

    with held.reading() as store:
        found = scores(store)
    if json:
        output.as_json({"peers": [{**one._asdict(), "precision": one.precision} for one in found]})
        return
    rows = [
        (o.peer, o.state, o.documents, o.confirmed, o.innocent, o.undecided, _share(o.precision), o.dissent)
        for o in found
    ]
    heads = ("Peer", "State", "Documents", "Confirmed", "Innocent", "Undecided", "Precision", "Dissent from here")
    output.table("Cases that rest on each", heads, rows, right=(2, 3, 4, 5, 6, 7))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _line(one: Taken) -> str:
    if one.refused:
        return f"{one.where}: refused: {one.refused}"
    if not one.news:
        return f"{one.where}: {one.what} {one.document} was taken in before."
    said = f"{one.what.capitalize()}, revision {one.revision} of {one.document}: {one.indicators:,} indicators"
    warned = f", {one.warned:,} of them on warning lists" if one.warned else ""
    ended = f" Ended with it: {', '.join(one.ended)}." if one.ended else ""
    cases = f" Cases that rest on it: {', '.join(one.cases)}." if one.cases else ""
    return f"{said}{warned}.{cases}{ended}"


def _say_matches(found: list[Matched]) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            one.heard.peer,
            one.heard.kind,
            one.heard.value[:40],
            one.compared or "compared",
            one.accounts,
            one.confirmed,
            one.open,
            one.innocent,
            one.trusted,
            one.others,
        )
        for one in found
    ]
    heads = ("Peer", "Kind", "Value", "", "Accounts", "Confirmed", "Open", "Innocent", "Trusted", "In no case")
    output.table("What would have matched", heads, rows, right=(4, 5, 6, 7, 8, 9))
    honest = sum(one.honest for one in found)
    output.say(f"{honest:,} matches are of accounts that are honest as far as is known here.")
