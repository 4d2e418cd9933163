"""Puts a watch list into a folder: a new snapshot, or a delta to the one that is there if little has changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.text_files import bytes_of
from clonewatch.policy.watch_list_file import (
    DELTA,
    HASH_BYTES,
    LIFTED,
    MAGIC,
    SCHEMA,
    SNAPSHOT,
    Rows,
    Signing,
    Stamp,
    encoded,
    halves,
    rows,
)

SNAPSHOT_NAME, DELTA_NAME = "snapshot.cwl", "delta.cwl"
# Accounts that a delta may hold: these many, or this share of the snapshot.
MOST_CHANGED, MOST_SHARE = 1_000, 0.1
_SIGNATURE, _ALIGNED = 64, 64
_LOCK, _WAIT = ".lock", 60  # seconds
# A list of 80 million accounts.
_MOST_BYTES = 2**31
_AGAIN = "Name another folder, or move its files aside: gateways then take the new list if its serial number is higher"


class Published(NamedTuple):
    """A file that was written. kind: snapshot or delta. accounts: that the list has now. rows: in the file."""

    path: Path
    kind: str
    serial: int
    accounts: int
    rows: int
    size: int


class File(NamedTuple):
    """A file of a list that is in the folder already. Its signature is not checked: whoever signs it wrote it."""

    header: dict[str, Any]
    held: Rows


def publish(
    folder: Path,
    name: str,
    numbers: Mapping[str, int],
    entries: Sequence[Mapping[str, Any]],
    signing: Signing,
    now: int,
    valid_seconds: int,
    *,
    whole: bool = False,
) -> Published:
    """Write what a list says now. numbers: account -> number of its entry. whole: a snapshot in any case.

    The serial number is above that of every file in the folder. Raises InputError for a folder with another list.
    """
    try:
        with FileLock(folder / _LOCK, timeout=_WAIT):
            return _published(folder, name, numbers, entries, signing, (now, valid_seconds), whole)
    except Timeout as error:
        raise OutputError("another process publishes into this folder", where=str(folder), fix="Wait for it") from error
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror or error}", where=str(folder), fix="Name another") from error


def _published(
    folder: Path,
    name: str,
    numbers: Mapping[str, int],
    entries: Sequence[Mapping[str, Any]],
    signing: Signing,
    times: tuple[int, int],
    whole: bool,
) -> Published:
    now, valid_seconds = times
    base, delta = read_file(folder / SNAPSHOT_NAME), read_file(folder / DELTA_NAME)
    for held in (base, delta):
        if held and held.header["list"] != name:
            raise InputError(f"the folder holds the list {held.header['list']!r}", where=str(folder), fix=_AGAIN)
    serial = 1 + max([held.header["serial"] for held in (base, delta) if held], default=0)
    stamp = Stamp(name, serial, now, now + valid_seconds)
    wanted = rows(numbers, signing.account)
    if base and not whole and _is_ours(base, signing):
        changes, changed, used = _difference(base, wanted, entries)
        if len(changed.numbers) <= max(MOST_CHANGED, MOST_SHARE * len(base.held.numbers)):
            identity = base.header["serial"], base.header["body_sha256"]
            data = encoded(DELTA, stamp, changed, used, signing, base=identity, changes=changes)
            return _written(folder / DELTA_NAME, DELTA, serial, len(numbers), len(changed.numbers), data)
    data = encoded(SNAPSHOT, stamp, wanted, entries, signing)
    # The snapshot comes first: until the old delta is gone, readers see that it belongs to another one.
    done = _written(folder / SNAPSHOT_NAME, SNAPSHOT, serial, len(numbers), len(numbers), data)
    (folder / DELTA_NAME).unlink(missing_ok=True)
    return done


def _written(path: Path, kind: str, serial: int, accounts: int, count: int, data: bytes) -> Published:
    whole_files.write(path, data, what="the watch list")
    return Published(path, kind, serial, accounts, count, len(data))


def _is_ours(base: File, signing: Signing) -> bool:
    """Whether the snapshot was made with these keys: after a change of keys a new one is written."""
    empty = rows({}, signing.account)
    mine = json.loads(_header(encoded(SNAPSHOT, Stamp("", 0, 0, 0), empty, (), signing)))
    return all(base.header[name] == mine[name] for name in ("account_key", "signed_by", "account_hash"))


def _difference(
    base: File, wanted: Rows, entries: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, Mapping[str, Any] | None], Rows, list[Mapping[str, Any]]]:
    """What a delta says: entries of the snapshot that changed for most of their accounts, and all other accounts.

    Publishing again renews every entry; so a delta is as short as what happened since.
    """
    old, fresh = halves(base.held.hashes), halves(wanted.hashes)
    at = places(old, fresh)
    now = np.where(at >= 0, wanted.numbers.astype(np.int64)[at], -1) if len(fresh) else at
    becomes = _mostly(base.held.numbers.astype(np.int64), now, len(base.header["entries"]))
    apart = now != becomes[base.held.numbers] if len(now) else np.zeros(0, bool)
    new = places(fresh, old) < 0
    hashes = np.concatenate([base.held.hashes[apart], wanted.hashes[new]])
    targets = np.concatenate([now[apart], wanted.numbers[new].astype(np.int64)])
    used = np.unique(targets[targets >= 0])
    numbers = np.where(targets >= 0, np.searchsorted(used, targets), LIFTED).astype(np.uint32)
    order = np.lexsort(tuple(halves(hashes).T[::-1]))
    changes: dict[int, Mapping[str, Any] | None] = {}
    for number, target in enumerate(becomes.tolist()):
        after = entries[target] if target >= 0 else None
        if after != base.header["entries"][number]:
            changes[number] = after
    return changes, Rows(hashes[order], numbers[order]), [entries[one] for one in used.tolist()]


def _mostly(old: Any, now: Any, entries: int) -> Any:
    """What each old entry is now for most of its accounts; -1 for nothing. old, now: numbers of entries by account."""
    becomes = np.full(entries, -1, np.int64)
    if len(old):
        pairs, counts = np.unique((old << 32) | (now + 1), return_counts=True)
        pairs = pairs[np.argsort(counts, kind="stable")]  # the most frequent one is written last
        becomes[pairs >> 32] = (pairs & 0xFFFFFFFF) - 1
    return becomes


def places(of: Any, among: Any) -> Any:
    """Where each hash is among others that ascend; -1 for nowhere. Both are halves, (n, 2)."""
    if not len(among):
        return np.full(len(of), -1, np.int64)
    kind = np.dtype([("high", "<u8"), ("low", "<u8")])
    left, right = (np.ascontiguousarray(held).view(kind).ravel() for held in (of, among))
    found = np.minimum(np.searchsorted(right, left), len(right) - 1)
    return np.where(right[found] == left, found, -1)


def read_file(path: Path) -> File | None:
    """A file of a list in the folder; None where there is none. Raises InputError for anything else."""
    try:
        data = bytes_of(path, _MOST_BYTES, pipes=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read the folder: {error.strerror}", where=str(path), fix=_AGAIN) from error
    try:
        text = _header(data)
        header = json.loads(text)
        if header["schema"] != SCHEMA:
            raise ValueError("another version")
        front = len(MAGIC) + 4 + len(text) + _SIGNATURE
        body = data[-(-front // _ALIGNED) * _ALIGNED :]
        if sha256(body).hexdigest() != header["body_sha256"]:
            raise ValueError("not what was signed")
        count, fan = header["count"], 4 * ((1 << header["fan_bits"]) + 1)
        hashes = np.frombuffer(body, np.uint8, count * HASH_BYTES, fan).reshape(-1, HASH_BYTES)
        numbers = np.frombuffer(body, "<u4", count, fan + count * HASH_BYTES)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise InputError(f"this is no watch list: {error}", where=str(path), fix=_AGAIN) from error
    return File(header, Rows(hashes, numbers))


def _header(data: bytes) -> bytes:
    start = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("it begins otherwise")
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    return data[start : start + length]
