"""The commands that tell others of cases: send what is due, list what was not delivered, try dead letters again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import StoreOptions
from clonewatch.cli.options import Json, grouped

if TYPE_CHECKING:
    from clonewatch.cases.outbox import Delivery

EXIT_DEAD = 3

_Targets = Annotated[
    Path,
    typer.Option("--targets", metavar="FILE", envvar="CLONEWATCH_TARGETS", help="Who is told of what, in TOML."),
]


@grouped
def send(
    targets: _Targets,
    at: StoreOptions,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="Tries for each target in this run.")] = 500,
    fail_on_dead: Annotated[
        bool, typer.Option("--fail-on-dead", help="Exit with code 3 when there are messages that were given up.")
    ] = False,
    json: Json = False,
) -> None:
    """Tell others what happened to cases: webhooks, chat, mail, files for a SIEM. Run it every minute.

    Messages hold ids, counts and a link: no account, no name, no text. What cannot be delivered is tried again with
    growing pauses, and is given up after 14 tries: `clonewatch cases outbox` lists it.

    For example:

      clonewatch cases send --targets targets.toml
    """
    opened = at.open()
    from clonewatch.outbound.delivery import run
    from clonewatch.outbound.settings import read

    done = run(opened, read(targets), most)
    dead = sum(one.dead for one in done)
    if json:
        output.as_json({"targets": [one._asdict() for one in done], "dead": dead})
    else:
        rows = [(o.target, o.where, o.new, o.sent, o.failed, o.waiting, o.dead, o.error) for o in done]
        heads = ("Target", "Where", "New", "Sent", "Failed", "Waiting", "Given up", "Last error")
        output.table("", heads, rows, right=(2, 3, 4, 5, 6))
        if dead:
            output.say("Look at what was given up: clonewatch cases outbox")
    if fail_on_dead and dead:
        raise typer.Exit(EXIT_DEAD)


@grouped
def outbox(
    at: StoreOptions,
    all_: Annotated[bool, typer.Option("--all", help="Also what was delivered in the last 90 days.")] = False,
    json: Json = False,
) -> None:
    """List messages that wait to be delivered, and those that were given up, with the reason.

    For example:

      clonewatch cases outbox
    """
    opened = at.open()
    from clonewatch.cases.outbox import DEAD, SENT, WAITING, deliveries

    with opened.reading() as store:
        found = deliveries(store, (WAITING, DEAD, *((SENT,) if all_ else ())))
    if json:
        output.as_json({"messages": [_plain(one) for one in found]})
        return
    rows = [(one.target, one.event, one.kind, one.state, one.tries, one.due, one.error) for one in found]
    heads = ("Target", "Message", "Event", "State", "Tries", "Next try", "Last error")
    output.say(f"{len(found):,} message{'' if len(found) == 1 else 's'}.")
    output.table("", heads, rows, right=(4,))


@grouped
def resend(
    at: StoreOptions,
    message: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE...]", help="Ids of messages; all without.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="NAME", help="Only those to this target.")] = None,
    json: Json = False,
) -> None:
    """Let messages that were given up be tried again, by the next `clonewatch cases send`.

    For example:

      clonewatch cases resend --target siem
    """
    opened = at.open()
    from clonewatch.cases.outbox import revive
    from clonewatch.outbound.delivery import Clock

    found = revive(opened, Clock().text, target, message or ())
    if json:
        output.as_json({"messages": [_plain(one) for one in found]})
    else:
        output.say(f"{len(found):,} will be tried again: clonewatch cases send")


def _plain(one: Delivery) -> dict[str, Any]:
    return {name: value for name, value in one._asdict().items() if name != "body"}
