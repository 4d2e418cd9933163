"""The commands that ask a peer, and that put together what several providers saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from clonewatch.cli import output
from clonewatch.cli.match_values import check_libraries, groups, say_unread, sketch_secret
from clonewatch.cli.options import Json, Quiet, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.sharing.matching.asking import Found
    from clonewatch.sharing.matching.joint import Joint
    from clonewatch.sharing.matching.values import Held

EXIT_MATCHED = 3

EXPLAINED = "one of payment, mail, device, template; may be repeated; default: all."


@dataclass(frozen=True)
class PeerOptions:
    """Whom a query goes to, and what it is made of."""

    epoch: Annotated[Path, typer.Option("--epoch", metavar="FILE", help="File of the epoch (mode 600).")]
    values: Annotated[Path, typer.Option("--values", metavar="FILE", help="CSV with the columns kind, value, account.")]
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="File with the key that the peer gave (mode 600).")]
    scan: Annotated[
        Path | None,
        typer.Option(
            "--scan", "-s", metavar="DIR", help="Folder a scan wrote: only values of its groups are asked for."
        ),
    ] = None
    kind: Annotated[list[str] | None, typer.Option("--kind", metavar="KIND", help=f"What to ask for: {EXPLAINED}")] = (
        None
    )
    peer: Annotated[str, typer.Option("--peer", metavar="NAME", help="Name of the peer in files of ours.")] = "peer"
    fingerprint_key: Annotated[
        Path | None,
        typer.Option("--fingerprint-key", metavar="FILE", help="Key of the sketches, where values hold templates."),
    ] = None
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="Folder where set-ups of peers are kept.")] = (
        Path("peers")
    )
    authority: Annotated[
        Path | None, typer.Option("--authority", metavar="FILE", help="More certificates to trust, in PEM.")
    ] = None


class Asked(NamedTuple):
    """What came of a query. left: kind -> values that were not asked for. met: groups that met."""

    found: list[Found]
    left: dict[str, int]
    met: int
    held: Held


@grouped
def query(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the peer answers, such as https://HOST:4340.")],
    asking: PeerOptions,
    which: Annotated[
        bool, typer.Option("--which", help="Ask which match, not only how many; with --out or --met.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="CSV of accounts that matched, for its owner only.")
    ] = None,
    met: Annotated[
        Path | None,
        typer.Option(
            "--met", metavar="FILE", help="Tell and hear what was seen of groups that match, and add it here."
        ),
    ] = None,
    fail_on_match: Annotated[
        bool, typer.Option("--fail-on-match", help="Exit with code 3 when the floor was reached.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask a peer how many of our values it has too, in bands; with --which and --met more than that.

    Below the floor of the epoch nothing is shown or written. With --met, for groups of --scan of which several values
    matched, both sides tell weeks, kinds of evidence and a bound on the p-value; never accounts or volumes.

    For example:

      clonewatch match query https://HOST:4340 --epoch epoch.json --values values.csv --key peer.key --scan result
    """
    check_libraries()
    if which != (out is not None or met is not None) or (met is not None and asking.scan is None):
        raise SetupError(
            "--which needs --out or --met, these need --which, and --met needs --scan",
            fix="Leave --which away to hear how many match, or add --scan DIR --met met.ndjson",
        )
    told = _asked(url, asking, which=which, met=met, quiet=quiet)
    if out is not None:
        _write_matched(out, told)
    if json:
        output.as_json(_summary(told, which=which))
    else:
        _say_found(told, met)
    if fail_on_match and any(not one.withheld for one in told.found):
        raise typer.Exit(EXIT_MATCHED)


_LEAKED = (
    "the peer learned that we asked, when, and for about how many values of each kind",
    "we learned about how many values of each kind the peer has",
)


def _asked(url: str, asking: PeerOptions, *, which: bool, met: Path | None, quiet: bool) -> Asked:
    """Everything that goes over the wire."""
    from clonewatch.cli.progress import watching
    from clonewatch.model.secret_files import read_secret
    from clonewatch.sharing.matching import epoch as epochs
    from clonewatch.sharing.matching import met_file, values
    from clonewatch.sharing.matching.asking import Address, Client
    from clonewatch.sharing.matching.sightings import Seen

    if unknown := sorted(set(asking.kind or ()) - set(values.KINDS)):
        raise SetupError(
            f"there is no kind {unknown[0]!r}", where="--kind", fix=f"There are: {', '.join(values.KINDS)}"
        )
    epoch = epochs.read(asking.epoch)
    held = values.read(asking.values, epoch, sketch_secret(asking.fingerprint_key))
    say_unread(held.unread)
    seen = Seen(epoch, held, groups(asking.scan)) if asking.scan else None
    chosen = seen.held() if seen else held
    secret = read_secret(asking.key, "the key of the peer").decode("ascii", "replace").strip()
    with watching(quiet, announce=False) as progress:
        client = Client(epoch, Address(url, secret, asking.authority), asking.cache, progress=progress)
        hello = client.hello()
        wanted = [k for k in chosen.accounts if k in hello.kinds and k in (asking.kind or values.KINDS)]
        found = [client.match(hello, kind, chosen.accounts[kind], "which" if which else "count") for kind in wanted]
        meetings = client.sighted(seen, {one.kind: one.matched for one in found}, asking.peer) if met and seen else []
    if met is not None and meetings:
        met_file.append(met, meetings)
    left = {kind: len(named) for kind, named in chosen.accounts.items() if kind not in wanted}
    return Asked(found, left, len(meetings), held)


@grouped
def joint(
    file: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files of meetings: from --met, and from `match serve`.")
    ],
    fail_on_review: Annotated[
        bool, typer.Option("--fail-on-review", help="Exit with code 3 when a campaign is raised for review.")
    ] = False,
    json: Json = False,
) -> None:
    """Show campaigns that several providers saw: where they moved, in weeks, and how unusual they are together.

    It is weak evidence, and never a verdict: what is raised here goes to people, who rule on their own evidence.

    For example:

      clonewatch match joint met.ndjson
    """
    from clonewatch.sharing.matching.joint import joined
    from clonewatch.sharing.matching.met_file import read

    found = joined(read(file))
    if json:
        output.as_json([_told(one) for one in found])
    else:
        _say_joint(found)
    if fail_on_review and any(one.review for one in found):
        raise typer.Exit(EXIT_MATCHED)


def _told(one: Joint) -> dict[str, Any]:
    from msgspec import to_builtins

    seen = {name: [to_builtins(sighting) for sighting in held] for name, held in one.seen.items()}
    return one._asdict() | {"seen": seen, "hops": [hop._asdict() for hop in one.hops]}


def _say_joint(found: list[Joint]) -> None:
    for number, one in enumerate(found, 1):
        word = "for review" if one.review else "listed"
        output.say(
            f"Joint campaign {number}, {word}: our {', '.join(one.groups)};"
            f" p {one.p:.2g} (any dependence: {one.p_any:.2g})"
        )
        for name, held in one.seen.items():
            for said in held:
                ended = ", ended by a measure" if said.ended else ""
                output.say(
                    f"  {name}: {said.first} to {said.last}{ended}; p at most {said.p:g}; {', '.join(said.families)}"
                )
        for hop in one.hops:
            after = "after a measure, " if hop.after_measure else ""
            way = f"from {hop.source} ({hop.last_seen}) to {hop.target} ({hop.first_seen})"
            output.say(f"  Hop: {after}{way}, {hop.weeks[0]} to {hop.weeks[1]} weeks")
    output.say("This is weak evidence and no verdict: look at your own group, and rule on your own evidence.")


def _summary(told: Asked, *, which: bool) -> dict[str, Any]:
    kinds = [
        one._asdict() | {"matched": len(one.matched) if which else None, "traffic": one.traffic._asdict()}
        for one in told.found
    ]
    return {"kinds": kinds, "met": told.met, "not_asked": told.left, "given_away": list(_LEAKED)}


def _say_found(told: Asked, met: Path | None) -> None:
    rows = [(one.kind, f"{one.asked:,}", one.band, *(f"{size:,}" for size in one.traffic)) for one in told.found]
    heads = ("Kind", "Asked", "Matched", "Bytes sent", "Received", "Of which set-up")
    output.table("Matches", heads, rows, right=(1, 2, 3, 4, 5))
    for kind, count in told.left.items():
        output.say(f"{kind} was not asked for, {count:,} values: the peer does not match it, or --kind left it out.")
    output.say(*(f"Given away: {said}." for said in _LEAKED))
    if met:
        output.say(f"{told.met:,} pairs of groups met; see them with: clonewatch match joint {met}")


def _write_matched(path: Path, told: Asked) -> None:
    """Accounts of ours whose values matched, by kind."""
    import csv
    import io

    from clonewatch.model import whole_files

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("kind", "account"))
    for one in told.found:
        carriers = {account for element in one.matched for account in told.held.accounts[one.kind][element]}
        rows.writerows((one.kind, account) for account in sorted(carriers))
    whole_files.write(path, text.getvalue().encode(), whole_files.PRIVATE, "what matched")
