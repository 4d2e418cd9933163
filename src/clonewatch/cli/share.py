"""The commands by which something leaves: preview, ask, approve, export, retract. The others are in share_arrivals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import CaseName, ChangeOptions, StoreOptions, require, text
from clonewatch.cli.options import Format, Json, Key, Map, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.cases.sharing import Kept
    from clonewatch.cases.store import Store
    from clonewatch.peering.proposing import Order
    from clonewatch.peering.releasing import Shown
    from clonewatch.peering.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SharingFile = Annotated[
    Path, typer.Option("--sharing", metavar="FILE", help="Settings of sharing, as examples/sharing.toml.")
]
SHARING = Path("sharing.toml")
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="Number of the request, as `ask` said it.")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder that recipients read or are sent.")]


@dataclass(frozen=True)
class FromOptions:
    """What a release is made from."""

    result: Annotated[Path, typer.Option("--result", metavar="DIR", help="Folder of a scan that the case was seen in.")]
    sharing: SharingFile = SHARING
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="PATH", help="The log that was scanned; may be repeated."),
    ] = None
    mapping: Map = None
    format: Format = "auto"
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="The state that was scanned, for its sketches.")
    ] = None
    key: Key = None

    def order(self, case: str) -> Order:
        """As the release of a case is ordered."""
        from clonewatch.adapters.reading import open_log
        from clonewatch.fingerprints.keys import load_key
        from clonewatch.peering.proposing import Order

        paths = tuple(self.log or ())
        mapping = Path(self.mapping) if self.mapping else None
        opens = (lambda: open_log(paths, format=self.format, mapping=mapping)) if paths else None
        return Order(case, self.result, settings(self.sharing), load_key(self.key), opens, self.state)


def settings(file: Path) -> Settings:
    """The settings of sharing. Raises SetupError."""
    require()
    from clonewatch.peering.settings import read

    return read(file)


@app.callback()
def share() -> None:
    """Tell other providers what they need, and nothing that they may not tell each other (docs/using/sharing.md).

    What leaves passes a gate in code: a list of fields, each with the reason why it may. A second person approves it,
    and the log of the cases has it. What comes in counts for nothing until you try it and switch it on.

    For example:

      clonewatch share preview K0001 --result result

      clonewatch share ask K0001 --result result --why "asked by the working group"

      clonewatch share approve 12

      clonewatch share export 12 --out outbox
    """


@app.command("preview", short_help="Show byte for byte what would leave, and why it may.")
@grouped
def preview(case: CaseName, source: FromOptions, at: StoreOptions, json: Json = False) -> None:
    """Show byte for byte what would leave of a case, and for each field why it may. Nothing is written, nothing leaves.

    Templates, clients and networks are in the log or the state that was scanned, not in the result: name one of them.

    For example:

      clonewatch share preview K0001 --result result --log logs/
    """
    held = at.open()
    from clonewatch.peering.releasing import show

    shown = show(held, source.order(case), ChangeOptions().who())
    if json:
        output.as_json(shown.told | {"notes": shown.notes})
        return
    _say_shown(shown)


@app.command("ask", short_help="Ask a second person that it may leave.")
@grouped
def ask(
    case: CaseName,
    source: FromOptions,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for whoever approves it; it does not leave.")],
    change: ChangeOptions,
    json: Json = False,
) -> None:
    """Ask a second person that a release of a case may leave. It is kept as it is now: that is what leaves, or nothing.

    For example:

      clonewatch share ask K0001 --result result --log logs/ --why "the group asked for it"
    """
    held = change.open()
    from clonewatch.peering.releasing import ask as begin

    kept, shown = begin(held, source.order(case), text(why, "--why"), change.who())
    if json:
        output.as_json({**plain(kept), "notes": shown.notes})
        return
    output.say(
        *shown.notes,
        f"Request {kept.request}: revision {kept.revision} of {kept.document}, {len(kept.body.encode()):,} bytes,"
        f" SHA-256 {kept.digest}.",
        f"A second person looks at it and approves it: clonewatch share approve {kept.request}",
    )


@app.command("approve", short_help="Approve, decline or withdraw a request.")
@grouped
def approve(
    number: Number,
    change: ChangeOptions,
    decline: Annotated[bool, typer.Option("--decline", help="Decline it instead.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Withdraw your own request instead.")] = False,
    json: Json = False,
) -> None:
    """Approve that what was asked for may leave; whoever asked cannot. Shows first what it is, byte for byte.

    For example:

      clonewatch share approve 12 --as bob

      clonewatch share approve 12 --decline --as bob
    """
    held = change.open()
    if decline and withdraw:
        raise SetupError("a request is declined or withdrawn, not both", fix="Pass one of --decline and --withdraw")
    from clonewatch.cases.approvals import APPROVED, DECLINED, WITHDRAWN
    from clonewatch.peering.releasing import approve as decide

    state = DECLINED if decline else WITHDRAWN if withdraw else APPROVED
    kept = decide(held, number, state, change.who())
    if json:
        output.as_json(plain(kept) | {"request_is": state, "bytes": kept.body})
        return
    output.say(kept.body, f"Request {number} is {state}.")
    if state == APPROVED:
        output.say(f"Let it leave: clonewatch share export {number} --out FOLDER")


@app.command("export", short_help="Write what was approved.")
@grouped
def export(number: Number, out: Out, change: ChangeOptions, sharing: SharingFile = SHARING, json: Json = False) -> None:
    """Write what was approved into a folder, byte for byte as it was asked for. The export is in the log of the cases.

    For example:

      clonewatch share export 12 --out outbox
    """
    held = change.open()
    from clonewatch.peering.releasing import export as leave

    _say_left(leave(held, number, settings(sharing), out, change.who()), out, json)


@app.command("retract", short_help="Tell recipients that it holds no more.")
@grouped
def retract(
    out: Out,
    change: ChangeOptions,
    case: Annotated[str | None, typer.Argument(metavar="CASE", help="Id of a case; or pass --due.")] = None,
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="WORD", help="Why: ruled_innocent, appeal_upheld, not_specific, mistake."),
    ] = "mistake",
    due: Annotated[
        bool, typer.Option("--due", help="All cases that were ruled innocent, or whose measure was taken back.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="With --due: stay, and look after every change.")] = False,
    sharing: SharingFile = SHARING,
    json: Json = False,
) -> None:
    """Tell recipients that nothing of what they were told of a case holds. It needs no second person: it only lifts.

    With --due it does so for every case that was ruled innocent, or whose measure an appeal overturned, since. With
    --follow it stays until it is stopped, so that a correction leaves within a second or two.

    For example:

      clonewatch share retract K0001 --reason ruled_innocent --out outbox

      clonewatch share retract --due --follow --out outbox
    """
    held, chosen = change.open(), settings(sharing)
    from clonewatch.peering.releasing import retract as take_back
    from clonewatch.sharing.release_gate.vocabulary import REASONS

    if (case is None) != due or (follow and not due):
        raise SetupError("it takes a case or --due", fix="Name one: clonewatch share retract K0001 --out outbox")
    if reason not in REASONS or not reason:
        raise SetupError(f"there is no reason {reason!r}", fix=f"Use one of: {', '.join(filter(None, REASONS))}")
    if case is not None:
        _say_left(take_back(held, case, reason, chosen, out, change.who()), out, json)
        return
    _due(held, chosen, out, change, follow, json)


def _due(held: Store, chosen: Settings, out: Path, change: ChangeOptions, stay: bool, json: bool) -> None:
    from clonewatch.cli.policy import until_stopped
    from clonewatch.peering.corrections import follow, retract_due

    def told(kept: Kept) -> None:
        _say_left(kept, out, json)

    if stay:
        follow(held, chosen, out, change.who, told, output.complain, until_stopped())
        return
    found = retract_due(held, chosen, out, change.who())
    for one in found:
        told(one)
    if not found and not json:
        output.say("Nothing that was told has to be taken back.")


@app.command("list", short_help="List what left, and what came in.")
@grouped
def list_(at: StoreOptions, json: Json = False) -> None:
    """List documents that left or wait, and those of others, the newest first.

    For example:

      clonewatch share list
    """
    held = at.open()
    from clonewatch.cases.sharing import documents, feeds

    with held.reading() as store:
        found, peers = documents(store), feeds(store)
    if json:
        output.as_json({"documents": [plain(one) for one in found], "feeds": peers})
        return
    rows = [(o.direction, o.document, o.revision, o.what, o.peer, o.state, o.case_id, o.at, o.until) for o in found]
    heads = ("Way", "Document", "Revision", "What", "Peer or circle", "State", "Case", "When, UTC", "Until")
    output.table("", heads, rows, right=(2,))
    output.table("Whose word counts", ("Peer", "State"), sorted(peers.items()))


def _say_shown(shown: Shown) -> None:
    told = shown.told
    output.say(f"This would leave, {told['size']:,} bytes, SHA-256 {told['sha256']}:", "", told["bytes"], "")
    rows = [(one["field"], _short(one["value"]), one["why"]) for one in told["fields"]]
    output.table("Why each field may", ("Field", "Value", "Why it may leave"), rows)
    output.say(*shown.notes)
    if told["refused"]:
        output.say("The gate refuses it:", *(f"  {one['field']}: {one['why']}" for one in told["refused"]))


def _short(value: Any) -> str:
    said = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


def _say_left(kept: Kept, out: Path, json: bool) -> None:
    if json:
        output.as_json(plain(kept))
        return
    output.say(
        f"{kept.what.capitalize()}, revision {kept.revision} of {kept.document}, is in {out}; entry {kept.entry} of the"
        " log."
    )


def plain(kept: Kept) -> dict[str, Any]:
    """A document without its bytes."""
    return {name: value for name, value in kept._asdict().items() if name != "body"}
