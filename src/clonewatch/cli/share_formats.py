"""The commands on formats and transport: look into a file, convert, offer, serve, pull and push it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.console import listening
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.sharing.formats.reading import Read
    from clonewatch.sharing.release import Release
    from clonewatch.sharing.taxii.peer import Peer

FORMATS = ("json", "stix", "misp", "misp-feed", "blocklist")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A release, a STIX bundle or an event of MISP, as JSON.")]
Root = Annotated[str, typer.Argument(metavar="URL", help="API root of the peer, such as https://host/api/.")]
SettingsFile = Annotated[
    Path, typer.Argument(metavar="SETTINGS", help="TOML file, as in docs/using/sharing-formats.md; it holds no key.")
]
CollectionId = Annotated[str, typer.Option("--collection", metavar="ID", help="UUID of the peer's collection.")]
User = Annotated[str, typer.Option("--user", metavar="NAME", help="Name at the peer; without it the key is a bearer.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="File with the key that the peer gave, for you only.")
]
Authority = Annotated[
    Path | None,
    typer.Option("--authority", metavar="FILE", help="PEM file of the authority of the peer's certificate."),
]
Plain = Annotated[bool, typer.Option("--plain", help="STIX without our extension, as OpenCTI wants it.")]


@app.callback()
def share() -> None:
    """Give releases to others and take theirs: STIX 2.1, TAXII 2.1, MISP, lists for bouncers.

    docs/using/sharing-formats.md walks through it. It needs the extra: pip install 'clonewatch[share]'.

    For example:

      clonewatch share look bundle.json

      clonewatch share convert release.json --to stix --out bundle.json
    """


@app.command("look", short_help="Say what is in a file, and what of it could be used.")
@grouped
def look(file: File, json: Json = False) -> None:
    """Read a file with suspicion: its releases, indicators of strangers, and what was left out, counted and named.

    A file that does not agree with itself, has ended or is marked falsely is refused as a whole, with the reason.

    For example:

      clonewatch share look bundle.json --json
    """
    found = _read(file)
    if json:
        output.as_json({"releases": [_told(one) for one in found.releases], **_beside(found)})
        return
    for one in found.releases:
        held = len([i for i in one.indicators if not i.withdrawn]) if one.what != "retraction" else 0
        output.say(
            f"Release {one.id}, revision {one.revision} ({one.what}) by {one.sender}: TLP:{one.tlp}, PAP:{one.pap}, "
            f"until {one.until}; {held} of {len(one.indicators)} indicators hold"
        )
    _say_beside(found)


@app.command("convert", short_help="Write a release in another format.")
@grouped
def convert(
    file: File,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="File to write; for misp-feed its folder.")],
    plain: Plain = False,
    earlier: Annotated[
        Path | None,
        typer.Option("--earlier", metavar="FILE", help="Bundle of an earlier revision, whose times of making stay."),
    ] = None,
    action: Annotated[
        str, typer.Option("--action", metavar="ACTION", help="Of a blocklist: throttle, captcha or ban.")
    ] = "throttle",
    floor: Annotated[
        int, typer.Option("--floor", metavar="N", min=0, max=100, help="Of a blocklist: least confidence.")
    ] = 0,
) -> None:
    """Write the release in a file as STIX, as a MISP event, into a feed of MISP, as a list for bouncers, or as itself.

    A blocklist holds networks and TLS fingerprints only, each with its origin and with a duration that counts from now.
    Under PAP:AMBER and PAP:RED there is none.

    For example:

      clonewatch share convert release.json --to stix --plain --out opencti.json

      clonewatch share convert release.json --to misp-feed --out feed

      clonewatch share convert release.json --to blocklist --action ban --floor 60 --out decisions.json
    """
    release = _one(file)
    if to not in FORMATS:
        raise SetupError(f"there is no format {to!r}", where="--to", fix=f"There are: {', '.join(FORMATS)}")
    made = _writers(release, out, plain, earlier, action, floor)[to]()
    output.say(f"Wrote {made}: {out}")


def _writers(
    release: Release, out: Path, plain: bool, earlier: Path | None, action: str, floor: int
) -> dict[str, Callable[[], str]]:
    from clonewatch.model import whole_files
    from clonewatch.sharing.formats import blocklist, misp, stix
    from clonewatch.sharing.release import encoded

    def as_json() -> str:
        whole_files.write(out, encoded(release), what="the release")
        return "the release"

    def as_stix() -> str:
        before = _objects(earlier) if earlier else []
        return f"{stix.write_stix(release, out, plain=plain, earlier=before):,} objects of STIX 2.1"

    def as_event() -> str:
        misp.write_misp(release, out)
        return "an event of MISP"

    def as_feed() -> str:
        misp.write_feed(release, out)
        return "an event into the feed"

    def as_list() -> str:
        count = blocklist.write_blocklist(release, out, datetime.now(UTC), action=action, floor=floor)
        return f"a list with {count:,} decisions to take up"

    return dict(zip(FORMATS, (as_json, as_stix, as_event, as_feed, as_list), strict=True))


@app.command("offer", short_help="Put a release into a collection of your own.")
@grouped
def offer(
    file: File,
    settings: SettingsFile,
    collection: Annotated[str, typer.Option("--collection", metavar="NAME", help="Name of it in the settings.")],
    plain: Plain = False,
) -> None:
    """Put a release where the peers who may read a collection find it. A correction is put there in the same way.

    What OpenCTI pulls goes with --plain into a collection of its own.

    For example:

      clonewatch share offer release.json taxii.toml --collection partners
    """
    from clonewatch.service.taxii.settings import read
    from clonewatch.sharing.taxii import offering
    from clonewatch.sharing.taxii.store import Store

    held = read(settings)
    found = held.named(collection)
    count = offering.offer(Store(Path(held.store)), found.id, _one(file), len(found.read), plain=plain)
    output.say(f"{count:,} objects are new in {found.title}, for: {', '.join(found.read) or 'nobody yet'}")


@app.command("serve", short_help="Serve collections to peers by TAXII 2.1.")
@grouped
def serve(
    settings: SettingsFile,
    new_key: Annotated[
        str | None, typer.Option("--new-key", metavar="NAME", help="Print a key for a peer and its settings, and end.")
    ] = None,
) -> None:
    """Serve the collections of the settings, each to the peers that it names. Stop it with Ctrl-C or SIGTERM.

    It listens apart from the service that takes live traffic, since others come here.

    For example:

      clonewatch share serve taxii.toml --new-key partner

      clonewatch share serve taxii.toml
    """
    if new_key is not None:
        _make_key(new_key)
        return
    from clonewatch.sharing.formats.libraries import needed

    for name in ("starlette", "uvicorn"):
        needed(name)
    from clonewatch.service.taxii.serving import serve as run
    from clonewatch.service.taxii.settings import read

    held = read(settings)
    if not held.peers:
        raise SetupError("no peer is known, so nobody may ask", fix="Make a key with --new-key NAME, and put it there")
    with closing(listening(held.listen.host, held.listen.port)) as listener:
        host = f"[{held.listen.host}]" if ":" in held.listen.host else held.listen.host
        scheme = "https" if held.listen.certificate else "http"
        output.say(f"Collections are at {scheme}://{host}:{listener.getsockname()[1]}/taxii2/. Stop it with Ctrl-C.")
        run(held, listener)


def _make_key(name: str) -> None:
    from clonewatch.live.api_keys import new

    key, hashed = new()
    output.say(
        f"The key, which is shown once: {key}",
        "Put this into the settings; it holds a hash only:",
        "",
        f"[peers.{name}]",
        f'sha256 = "{hashed}"',
    )


@app.command("pull", short_help="Take what a peer added since the last time.")
@grouped
def pull(
    url: Root,
    collection: CollectionId,
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="Folder of this collection; a file per campaign.")
    ],
    user: User = "",
    key_file: KeyFile = None,
    sender: Annotated[
        str, typer.Option("--sender", metavar="NAME", help="The only sender whose releases are taken.")
    ] = "",
    authority: Authority = None,
    json: Json = False,
) -> None:
    """Take the releases that a peer added to a collection, newer words in place of older ones.

    What came is read before anything is written. If it is refused, nothing is taken, and the next pull begins there.

    For example:

      clonewatch share pull https://peer.example/api/ --collection ID --into peer --user us --key-file peer.key
    """
    from clonewatch.sharing.taxii import inbox

    arrived = inbox.pull(_peer(url, collection, user, key_file, authority), into, _today(), sender)
    if json:
        told = {"new": [str(path) for path in arrived.new], "older": arrived.older, "after": arrived.pulled.after}
        output.as_json(told | {"objects": arrived.pulled.objects, **_beside(arrived.pulled.read)})
        return
    output.say(f"{len(arrived.new)} releases are new, of {arrived.pulled.objects:,} objects", *map(str, arrived.new))
    _say_beside(arrived.pulled.read)


@app.command("push", short_help="Add a release to a collection of a peer.")
@grouped
def push(
    file: File,
    url: Root,
    collection: CollectionId,
    user: User = "",
    key_file: KeyFile = None,
    authority: Authority = None,
    plain: Plain = False,
    without_definition: Annotated[
        bool,
        typer.Option("--without-definition", help="Leave the extension-definition out, over which medallion stumbles."),
    ] = False,
) -> None:
    """Add a release to a collection that a peer lets you write, and wait until it says that it took all of it.

    For example:

      clonewatch share push release.json https://peer.example/api/ --collection ID --user us --key-file peer.key
    """
    from clonewatch.sharing.taxii.peer import Client

    peer = _peer(url, collection, user, key_file, authority)._replace(without_definition=without_definition)
    with Client(peer) as client:
        count = client.push(_one(file), plain=plain)
    output.say(f"{count:,} objects were new to the peer")


def _peer(url: str, collection: str, user: str, key_file: Path | None, authority: Path | None) -> Peer:
    from clonewatch.model.secret_files import read_secret
    from clonewatch.sharing.taxii.peer import Peer

    key = read_secret(key_file, "the key of the peer").decode("ascii", "replace").strip() if key_file else ""
    return Peer(url, collection, user, key, authority=authority)


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _read(file: Path) -> Read:
    from clonewatch.model.text_files import bytes_of
    from clonewatch.sharing.formats.any_format import read_any
    from clonewatch.sharing.formats.reading import MOST_BYTES

    return read_any(bytes_of(file, MOST_BYTES), _today())


def _one(file: Path) -> Release:
    found = _read(file)
    if len(found.releases) != 1:
        raise SetupError(
            f"the file has {len(found.releases)} releases, and one is needed",
            where=str(file),
            fix="See what is in it with: clonewatch share look FILE",
        )
    return found.releases[0]


def _objects(file: Path) -> list[Any]:
    from clonewatch.model.text_files import bytes_of
    from clonewatch.sharing.formats.reading import MOST_BYTES, value

    held = value(bytes_of(file, MOST_BYTES))
    found = held.get("objects", []) if isinstance(held, dict) else []
    return [one for one in found if isinstance(one, dict)]


def _told(release: Release) -> Any:
    import msgspec

    return msgspec.to_builtins(release)


def _beside(found: Read) -> dict[str, Any]:
    indicators = [one._asdict() | {"indicator": _told_one(one.indicator)} for one in found.indicators]
    left = [one._asdict() for one in found.left_out]
    return {"indicators": indicators, "left_out": left, "replies": [one._asdict() for one in found.replies]}


def _told_one(indicator: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(indicator)


def _say_beside(found: Read) -> None:
    if found.indicators:
        output.say(f"{len(found.indicators):,} indicators came without a release, and are weak evidence at most")
    for one in found.replies:
        output.say(f"{one.author} says of {one.about}: {one.says}{f' ({one.reason})' if one.reason else ''}, {one.on}")
    for why, count in found.counts().items():
        output.say(f"Left out, {count:,} of {why}")
