"""The commands on blinded matching: agree on an epoch, answer peers, ask them, and see what several providers saw."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.match_asking import joint, query
from clonewatch.cli.match_values import check_libraries, say_unread, sketch_secret
from clonewatch.cli.options import Json, Quiet, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.sharing.matching.peers import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def match() -> None:
    """Find out which payment, mail and device fingerprints two providers both have, without showing the others.

    Members of a group agree on an epoch: one secret file for some weeks. Each answers the others with
    `clonewatch match serve`, within budgets and with a log, and asks them with `clonewatch match query`.
    docs/using/sharing-matching.md walks through it, and says what it gives away.

    For example:

      clonewatch match epoch epoch.json --group pact --name 2026-12

      clonewatch match serve match.toml

      clonewatch match query http://127.0.0.1:4340 --epoch epoch.json --values values.csv --key peer.key
    """


@app.command("epoch", short_help="Make an epoch, or say which one a file holds.")
@grouped
def epoch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of the epoch; made with --group.")],
    group: Annotated[str | None, typer.Option("--group", metavar="NAME", help="Make one, for this group.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the new one.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], help="First day of the new one, UTC; default: today."),
    ] = None,
    days: Annotated[int, typer.Option("--days", help="Days of the new one, 92 at most.")] = 30,
    floor: Annotated[int, typer.Option("--floor", help="Fewest accounts, and fewest matches, that are shown.")] = 5,
    undotted: Annotated[
        list[str] | None,
        typer.Option("--undotted", metavar="DOMAIN", help="Mail domain in whose addresses dots mean nothing."),
    ] = None,
    json: Json = False,
) -> None:
    """Make the secret of an epoch for a group, or say what a file holds. The secret itself is never shown.

    One member makes it and hands the file to the others over a way that nobody else reads. All compare the check.

    For example:

      clonewatch match epoch epoch.json --group pact --name 2026-12 --days 30

      clonewatch match epoch epoch.json
    """
    from clonewatch.sharing.matching import epoch as epochs

    if group is not None:
        first = since.date().isoformat() if since else epochs.today()
        if name is None:
            raise SetupError("a new epoch needs a name", where="--name", fix="Write --name 2026-12")
        made = epochs.new(group, name, first, days, floor=floor, undotted=tuple(undotted or ()))
        epochs.write(made, file)
    held = epochs.read(file)
    told = {
        "group": held.group,
        "epoch": held.name,
        "since": held.since,
        "until": held.until,
        "floor": held.floor,
        "undotted": list(held.undotted),
        "check": held.check(),
    }
    if json:
        output.as_json(told)
        return
    output.say(
        f"Epoch {held.name} of {held.group}, from {held.since} to {held.until}; floor {held.floor}.",
        f"Check: {held.check()}",
        "All members have to see the same check. The file is the secret: mode 600, and over no way that others read.",
    )


@app.command("serve", short_help="Answer the members of a group.")
@grouped
def serve(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[SETTINGS]", help="TOML file, as in docs/using/sharing-matching.md."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Address to listen on; port 0 takes a free one.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option("--new-key", metavar="NAME", help="Print a key for a peer and its settings, and end.")
    ] = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the set-ups of the epoch, and end.")] = False,
    quiet: Quiet = False,
) -> None:
    """Answer peers which of their values are here too, blind, within budgets; each query is logged first.

    Set-ups are made once an epoch, in a minute or two for a million values, and kept. Stop it with Ctrl-C or SIGTERM.

    For example:

      clonewatch match serve --new-key north

      clonewatch match serve match.toml --prepare

      clonewatch match serve match.toml --listen 127.0.0.1:4340
    """
    if new_key is not None:
        _make_key(new_key)
        return
    if config is None:
        raise SetupError("which settings?", where="SETTINGS", fix="For example: clonewatch match serve match.toml")
    check_libraries()
    from clonewatch.sharing.matching.peers import read

    settings = _listening(read(config), listen)
    _serve(settings, prepare=prepare, quiet=quiet)


def _serve(settings: Settings, *, prepare: bool, quiet: bool) -> None:
    from clonewatch.cli.console import listening
    from clonewatch.cli.match_values import groups
    from clonewatch.cli.progress import watching
    from clonewatch.service.matching.serving import serve as run
    from clonewatch.sharing.matching import epoch as epochs
    from clonewatch.sharing.matching import kept_setups, met_file, values
    from clonewatch.sharing.matching.answering import Holder
    from clonewatch.sharing.matching.query_log import QueryLog
    from clonewatch.sharing.matching.sightings import Seen
    from clonewatch.sharing.matching.values import carried

    held_epoch = epochs.read(Path(settings.epoch))
    if over := held_epoch.holds(epochs.today()):
        raise SetupError(
            over, where=settings.epoch, fix="Agree on a new epoch: clonewatch match epoch FILE --group NAME"
        )
    own = sketch_secret(Path(settings.fingerprint_key) if settings.fingerprint_key else None)
    held = values.read(Path(settings.values), held_epoch, own)
    say_unread(held.unread)
    place = Path(settings.met)
    found = groups(Path(settings.scan)) if settings.scan else []
    seen = Seen(held_epoch, held, found, lambda met: met_file.append(place, met)) if settings.scan else None
    chosen = seen.held() if seen else held
    offered = {kind: chosen.elements(kind) for kind in chosen.accounts if carried(chosen, kind) >= held_epoch.floor}
    for kind in sorted(set(chosen.accounts) - set(offered)):
        output.complain(f"{kind} is not offered: fewer than {held_epoch.floor} accounts carry a value.")
    with watching(quiet, announce=False) as progress:
        setups = kept_setups.setups(Path(settings.cache), held_epoch, offered, progress)
    if prepare:
        output.say(*(f"{kind}: {one.elements:,} values, {len(one.message):,} bytes" for kind, one in setups.items()))
        return
    if not settings.peers:
        raise SetupError("no peer is known", fix="Make a key with: clonewatch match serve --new-key NAME")
    log = QueryLog(Path(settings.log))
    with closing(listening(settings.listen.host, settings.listen.port)) as listener:
        host = f"[{settings.listen.host}]" if ":" in settings.listen.host else settings.listen.host
        scheme = "https" if settings.listen.certificate else "http"
        output.say(f"Peers are answered at {scheme}://{host}:{listener.getsockname()[1]}. Stop it with Ctrl-C.")
        run(Holder(held_epoch, setups, settings.peers, log, seen=seen), settings.listen, listener)


@app.command("log", short_help="Check the log of queries, and say who asked what.")
@grouped
def log(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Log that `clonewatch match serve` wrote.")],
    json: Json = False,
) -> None:
    """Check that a log of queries is what was written, and say who asked how much. Exit code 3 if it is not.

    For example:

      clonewatch match log queries.ndjson
    """
    from collections import Counter

    from clonewatch.sharing.matching.query_log import read

    records, _ = read(file)
    counts: Counter[tuple[str, ...]] = Counter()
    asked: Counter[tuple[str, ...]] = Counter()
    for one in records:
        place = (one.peer, one.epoch, one.kind, one.mode, "refused" if one.refused else "answered")
        counts[place] += 1
        asked[place] += one.values
    names = ("peer", "epoch", "kind", "mode", "outcome")
    rows = [
        dict(zip(names, place, strict=True)) | {"queries": n, "values": asked[place]} for place, n in counts.items()
    ]
    if json:
        output.as_json({"records": len(records), "queries": rows})
        return
    output.table(
        "Queries", [*map(str.capitalize, names), "Queries", "Values"], [tuple(r.values()) for r in rows], right=(5, 6)
    )
    output.say(f"{len(records):,} records; none was changed.")


def _make_key(name: str) -> None:
    if not name.isascii() or not name.replace("-", "").isalnum() or name != name.lower():
        raise SetupError(
            f"{name!r} is no name of a peer", where="--new-key", fix="Use lower-case letters, digits and -"
        )
    from clonewatch.live.api_keys import new

    key, hashed = new()
    output.say(
        f"The key, which is shown once: {key}",
        "Put this into the settings; it holds a hash only:",
        "",
        f"[peers.{name}]",
        f'sha256 = "{hashed}"',
        'modes = ["count"]',
    )


def _listening(settings: Settings, listen: str | None) -> Settings:
    import msgspec

    if listen is None:
        return settings
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise SetupError(f"{listen!r} is no address", where="--listen", fix="Write --listen 127.0.0.1:4340")
    at = msgspec.structs.replace(settings.listen, host=host.strip("[]"), port=int(port))
    return msgspec.structs.replace(settings, listen=at)


app.command("query", short_help="Ask a member of the group.")(query)
app.command("joint", short_help="Put together what several providers saw.")(joint)
