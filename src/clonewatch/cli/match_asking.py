"""The commands that ask a peer, and that put together what several providers saw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.match_values import check_libraries, say_unread
from clonewatch.cli.options import Json, Quiet, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.sharing.matching.asking import Found
    from clonewatch.sharing.matching.joint import Joint

EXIT_MATCHED = 3

EpochFile = Annotated[Path, typer.Option("--epoch", metavar="FILE", help="File of the epoch (mode 600).")]
ValuesFile = Annotated[
    Path, typer.Option("--values", metavar="FILE", help="CSV with the columns kind, value, account.")
]
ScanIfAny = Annotated[
    Path | None,
    typer.Option("--scan", "-s", metavar="DIR", help="Folder a scan wrote: only values of its groups are asked for."),
]


@grouped
def query(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the peer answers, such as https://HOST:4340.")],
    epoch_file: EpochFile,
    values_file: ValuesFile,
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="File with the key that the peer gave (mode 600).")
    ],
    scan: ScanIfAny = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", metavar="KIND", help="payment, mail or device; may be repeated; default: all there are."
        ),
    ] = None,
    which: Annotated[bool, typer.Option("--which", help="Ask which match, not only how many; needs --out.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="CSV of what matched, for its owner only.")
    ] = None,
    met: Annotated[
        Path | None,
        typer.Option(
            "--met", metavar="FILE", help="Tell and hear what was seen of groups that match, and add it here."
        ),
    ] = None,
    peer: Annotated[str, typer.Option("--peer", metavar="NAME", help="Name of the peer in that file.")] = "peer",
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="Folder where set-ups of peers are kept.")
    ] = Path("peers"),
    authority: Annotated[
        Path | None, typer.Option("--authority", metavar="FILE", help="More certificates to trust, in PEM.")
    ] = None,
    fail_on_match: Annotated[
        bool, typer.Option("--fail-on-match", help="Exit with code 3 when the floor was reached.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask a peer how many of our values it has too, in bands, and with --which and --met more than that.

    Below the floor of the epoch nothing is shown or written. With --met, for groups of --scan of which several values
    matched, both sides tell weeks, kinds of evidence and a bound on the p-value; never accounts or volumes.

    For example:

      clonewatch match query https://HOST:4340 --epoch epoch.json --values values.csv --key peer.key --scan result
    """
    check_libraries()
    if which != (out is not None or met is not None) or (met is not None and scan is None):
        raise SetupError(
            "--which needs --out or --met, these need --which, and --met needs --scan",
            fix="Leave --which away to hear how many match, or add --scan DIR --met met.ndjson",
        )
    told, found, meetings = _asked(
        url, epoch_file, values_file, key, scan, kind, which, met, peer, cache, authority, quiet
    )
    if out is not None:
        _write_matched(out, found, told["accounts_by_element"])
    reached = any(not one.withheld for one in found)
    summary = {
        "kinds": [one._asdict() | {"matched": len(one.matched) if which else None, "traffic": one.traffic._asdict()}
                  for one in found],
        "meetings": meetings,
        "left": told["left"],
        "leaked": _LEAKED,
    }  # fmt: skip
    if json:
        output.as_json(summary)
    else:
        _say_found(found, meetings, told["left"], met)
    if fail_on_match and reached:
        raise typer.Exit(EXIT_MATCHED)


_LEAKED = (
    "the peer learned how many values of each kind were asked for, and when",
    "we learned about how many values of each kind the peer has",
)


def _asked(
    url: str, epoch_file: Path, values_file: Path, key: Path, scan: Path | None, kinds: list[str] | None, which: bool,
    met: Path | None, peer: str, cache: Path, authority: Path | None, quiet: bool,
) -> tuple[dict[str, Any], list[Found], int]:  # fmt: skip
    """Everything over the wire: what was left out, what was found of each kind, how many groups met."""
    from clonewatch.cli.match_values import groups
    from clonewatch.cli.progress import watching
    from clonewatch.model.secret_files import read_secret
    from clonewatch.sharing.matching import epoch as epochs
    from clonewatch.sharing.matching import met_file, values
    from clonewatch.sharing.matching.asking import Address, Client
    from clonewatch.sharing.matching.sightings import Seen

    epoch = epochs.read(epoch_file)
    held = values.read(values_file, epoch)
    say_unread(held.unread)
    seen = Seen(epoch, held, groups(scan)) if scan else None
    elements = seen.elements() if seen else {kind: held.elements(kind) for kind in held.accounts}
    if unknown := sorted(set(kinds or ()) - set(values.KINDS)):
        raise SetupError(
            f"there is no kind {unknown[0]!r}", where="--kind", fix=f"There are: {', '.join(values.KINDS)}"
        )
    secret = read_secret(key, "the key of the peer").decode("ascii", "replace").strip()
    with watching(quiet, announce=False) as progress:
        client = Client(epoch, Address(url, secret, authority), cache, progress=progress)
        hello = client.hello()
        wanted = [kind for kind in kinds or sorted(elements) if kind in hello.kinds]
        left = {kind: len(named) for kind, named in elements.items() if len(named) < epoch.floor or kind not in wanted}
        asked = [kind for kind in wanted if kind in elements and kind not in left]
        found = [client.match(hello, kind, elements[kind], "which" if which else "count") for kind in asked]
        meetings = client.sighted(seen, {one.kind: one.matched for one in found}, peer) if met and seen else []
    if met is not None and meetings:
        met_file.append(met, meetings)
    return {"left": left, "accounts_by_element": held.accounts}, found, len(meetings)


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


def _say_found(found: list[Found], meetings: int, left: Mapping[str, int], met: Path | None) -> None:
    rows = [
        (
            one.kind,
            f"{one.asked:,}",
            one.band,
            f"{one.traffic.sent:,}",
            f"{one.traffic.received:,}",
            f"{one.traffic.setup:,}",
        )
        for one in found
    ]
    output.table(
        "Matches",
        ("Kind", "Asked", "Matched", "Bytes sent", "Received", "Of which set-up"),
        rows,
        right=(1, 2, 3, 4, 5),
    )
    for kind, count in left.items():
        output.say(f"{kind} was not asked for: {count:,} values are here, and the peer may not match it.")
    output.say(*(f"Given away: {said}." for said in _LEAKED))
    if met:
        output.say(f"{meetings:,} groups met; see them with: clonewatch match joint {met}")


def _write_matched(path: Path, found: list[Found], accounts: Mapping[str, Mapping[str, frozenset[str]]]) -> None:
    """Accounts of ours whose values matched, by kind."""
    import csv
    import io

    from clonewatch.model import whole_files

    held = io.StringIO()
    rows = csv.writer(held, lineterminator="\n")
    rows.writerow(("kind", "account"))
    for one in found:
        carriers = {account for element in one.matched for account in accounts[one.kind][element]}
        rows.writerows((one.kind, account) for account in sorted(carriers))
    whole_files.write(path, held.getvalue().encode(), whole_files.PRIVATE, "what matched")
