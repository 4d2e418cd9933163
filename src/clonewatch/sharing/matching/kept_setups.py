"""Set-ups that are kept for an epoch, each in a file for its owner only, because making one takes a minute or two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from clonewatch.model import whole_files
from clonewatch.model.errors import OutputError
from clonewatch.model.secret_files import read_secret
from clonewatch.ports.progress import Progress, Silent
from clonewatch.sharing.matching import blinding
from clonewatch.sharing.matching.blinding import Setup
from clonewatch.sharing.matching.epoch import Epoch

SCHEMA: Literal["clonewatch.setup.v1"] = "clonewatch.setup.v1"
MOST_BYTES = 1 << 30


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds. epoch: its check, which says nothing of its secret. digest: of the elements."""

    schema: Literal["clonewatch.setup.v1"]
    epoch: str
    kind: str
    digest: str
    elements: int
    key: bytes
    message: bytes


def setups(
    folder: Path, epoch: Epoch, elements: Mapping[str, list[str]], progress: Progress | None = None
) -> dict[str, Setup]:
    """The set-up of each kind: the kept one if it is of these elements, else a new one, which is then kept.

    elements: sorted, by kind. What a kind held that is gone from the values is gone from its new set-up as well.
    Raises OutputError, KeyFileError for a file that others may read, SetupError without the library.
    """
    told = progress or Silent()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder: {error.strerror}", where=str(folder)) from error
    made: dict[str, Setup] = {}
    for kind, held in elements.items():
        path = folder / f"{epoch.group}-{epoch.name}-{kind}.setup"
        digest = blinding.digest(held)
        told.start(f"set-up of {kind}", None, "values")
        kept = _read(path, epoch, kind, digest)
        made[kind] = kept or blinding.prepared(held)
        if kept is None:
            one = made[kind]
            file = _Kept(SCHEMA, epoch.check(), kind, digest, one.elements, one.key, one.message)
            whole_files.write(path, msgspec.msgpack.encode(file), whole_files.PRIVATE, "the set-up")
        told.end(f"{len(held):,} values, {'kept' if kept else 'made'}")
    return made


def _read(path: Path, epoch: Epoch, kind: str, digest: str) -> Setup | None:
    """What a file holds, if it is of these elements and this epoch; another one is made again."""
    if not path.exists():
        return None
    data = read_secret(path, "the set-up", most=MOST_BYTES)
    try:
        held = msgspec.msgpack.decode(data, type=_Kept)
    except msgspec.MsgspecError:
        return None
    same = (held.epoch, held.kind, held.digest) == (epoch.check(), kind, digest)
    return Setup(held.key, held.message, held.elements) if same else None
