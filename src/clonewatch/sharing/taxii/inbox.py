"""The folder that pulls go into: a file per campaign with its latest word, and where the next pull goes on.

Releases are written before the place to go on from, so that a pull that was cut off is repeated and loses nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from clonewatch.model import whole_files
from clonewatch.model.errors import SetupError
from clonewatch.model.text_files import bytes_of
from clonewatch.sharing.formats.reading import Read
from clonewatch.sharing.release import MOST_BYTES, decoded, encoded
from clonewatch.sharing.taxii.peer import Client, Peer, Pulled

PLACE = "pulled.json"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a pull ended. after: moment of adding of the last object, by the peer's clock; empty before the first."""

    root: str
    collection: str
    after: str = ""


class Arrived(NamedTuple):
    """What a pull brought. new: files of releases that were written. older: how many words were known or outdated."""

    new: tuple[Path, ...]
    older: int
    pulled: Pulled


def pull(peer: Peer, folder: Path, today: str, sender: str = "") -> Arrived:
    """Pull what the peer added since the last time. Raises PeerError, SetupError, OutputError."""
    folder.mkdir(parents=True, exist_ok=True)
    place = _place(folder / PLACE, peer)
    with Client(peer) as client:
        pulled = client.pull(today, place.after, sender)
    new, older = _put(folder, pulled)
    if pulled.read.indicators or pulled.read.left_out or pulled.read.replies:
        name = f"others-{pulled.after.replace(':', '')}.json"
        whole_files.write(folder / name, _others(pulled.read), what="what came beside releases")
    done = msgspec.structs.replace(place, after=pulled.after)
    whole_files.write(folder / PLACE, msgspec.json.encode(done) + b"\n", what="where the next pull goes on")
    return Arrived(tuple(new), older, pulled)


def _others(read: Read) -> bytes:
    """Indicators of strangers, what was left out, and replies."""
    told = {
        "indicators": [one._asdict() for one in read.indicators],
        "left_out": [one._asdict() for one in read.left_out],
        "replies": [one._asdict() for one in read.replies],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _put(folder: Path, pulled: Pulled) -> tuple[list[Path], int]:
    """Write what is newer, after all of it was compared with what is there. Raises SetupError."""
    newer = {}
    for release in pulled.read.releases:
        path = folder / f"{release.id}.json"
        held = decoded(bytes_of(path, MOST_BYTES, pipes=False)) if path.exists() else None
        if held and held.sender != release.sender:
            raise SetupError(f"a campaign of {held.sender!r} was told anew by {release.sender!r}", where=str(path))
        if held and held.revision == release.revision and held != release:
            raise SetupError("the peer tells two different words under one revision", where=str(path))
        if held is None or held.revision < release.revision:
            newer[path] = encoded(release)
    for path, data in newer.items():
        whole_files.write(path, data, what="the release")
    return list(newer), len(pulled.read.releases) - len(newer)


def _place(path: Path, peer: Peer) -> Place:
    """Where the last pull of this collection ended. Raises SetupError for a folder of another one."""
    root = peer.root.rstrip("/") + "/"
    if not path.exists():
        return Place(root, peer.collection)
    try:
        held = msgspec.json.decode(bytes_of(path, 1 << 16, pipes=False), type=Place)
    except msgspec.DecodeError as error:
        raise SetupError(
            f"this does not say where to go on: {error}", where=str(path), fix="Remove it to begin anew"
        ) from None
    if (held.root, held.collection) != (root, peer.collection):
        raise SetupError("this folder is of another collection", where=str(path.parent), fix="Name another folder")
    return held
