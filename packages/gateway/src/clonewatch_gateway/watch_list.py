"""The watch list: a signed file that is mapped into memory, so that all workers of a machine share its pages.

::

    0        8 bytes   CWLIST1 and a line feed
    8        4 bytes   H, the length of the header (all numbers little-endian)
    12       H bytes   the header, JSON in UTF-8
    12 + H   64 bytes  Ed25519 signature of everything before it
             zeros     up to a multiple of 64 bytes
    B        2^fan_bits + 1 numbers of 4 bytes   how many accounts have a hash that begins with less than these bits
             16 bytes per account   hashes of account ids, ascending
             4 bytes per account    which entry of the header is about it; LIFTED for none (deltas only)

The header holds the SHA-256 of everything from B to the end, so the signature covers the whole file. docs/reference/
watch-list.md of Clonewatch is the specification; `vectors/` beside this package holds files that every reader and
writer reproduces.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from clonewatch_gateway import signatures
from clonewatch_gateway.account_hash import BYTES as HASH_BYTES
from clonewatch_gateway.account_hash import hasher, key_name
from clonewatch_gateway.decisions import OBSERVE, Decision, Entry
from clonewatch_gateway.entries import entry
from clonewatch_gateway.mapping import mapped
from clonewatch_gateway.refusal import DAMAGED, OTHER_KEY, OTHER_LIST, ROLLBACK, VERSION, Refused

MAGIC = b"CWLIST1\n"
SCHEMA = "clonewatch.watch-list.v1"
SNAPSHOT, DELTA = "snapshot", "delta"
HASH = "blake2b-128"
LIFTED = 0xFFFFFFFF
ALIGNED = 64
MOST_HEADER = 32 << 20
MOST_FAN_BITS = 24
MOST_ACCOUNTS = 1 << 28
# How far the clock of whoever publishes may be ahead of ours, in seconds.
SKEW = 300
_LENGTH, _NUMBER, _PAIR = struct.Struct("<I"), struct.Struct("<I"), struct.Struct("<II")
_PREFIX = struct.Struct(">I")
_NUMBERS = ("serial", "base", "issued", "valid_until", "count", "fan_bits")
_TEXTS = ("schema", "kind", "list", "account_hash", "account_key", "signed_by", "body_sha256", "base_body")


class Keys(NamedTuple):
    """What a list is read with. trusted: public keys of whoever publishes, 32 bytes each. account: a secret."""

    trusted: tuple[bytes, ...]
    account: bytes


class Part:
    """One file of a list: a snapshot, or a delta to one. Its signature, length and hash were checked.

    shared: folder for copies of files, so that workers share them; see `mapping`.
    """

    def __init__(self, path: Path, keys: Keys, shared: Path | None = None) -> None:
        self._map, self.copy = mapped(path, shared)
        size = len(self._map)
        if size < len(MAGIC) + 4 or self._map[: len(MAGIC)] != MAGIC:
            raise Refused(DAMAGED, f"{path.name} is no watch list")
        (length,) = _LENGTH.unpack_from(self._map, len(MAGIC))
        end = len(MAGIC) + 4 + length
        body = -(-(end + signatures.BYTES) // ALIGNED) * ALIGNED
        if length > MOST_HEADER or body > size:
            raise Refused(DAMAGED, f"{path.name} ends early: fetch it again")
        self.header = _header(self._map[len(MAGIC) + 4 : end])
        message, signature = self._map[:end], self._map[end : end + signatures.BYTES]
        signatures.verify(keys.trusted, self.header["signed_by"], message, signature)
        self.find = _finder(self._map, body, self.header["fan_bits"], self.header["count"])
        if any(self._map[end + signatures.BYTES : body]):
            raise Refused(DAMAGED, f"{path.name} holds something between its signature and its accounts")
        if size != body + 4 * ((1 << self.header["fan_bits"]) + 1) + (HASH_BYTES + 4) * self.header["count"]:
            raise Refused(DAMAGED, f"{path.name} has another length than was signed: fetch it again")
        with memoryview(self._map) as held:
            found = sha256(held[body:]).hexdigest()
        if found != self.header["body_sha256"]:
            raise Refused(DAMAGED, f"{path.name} is not what was signed: fetch it again")
        if self.header["account_key"] != key_name(keys.account):
            raise Refused(OTHER_KEY, "the list was made with another account key than this gateway has")
        self.entries: list[Entry] = [entry(held) for held in self.header["entries"]]


class WatchList:
    """A snapshot, and the newest delta to it where there is one."""

    def __init__(self, snapshot: Part, delta: Part | None, hashed: Callable[[str], bytes]) -> None:
        self.snapshot, self.delta = snapshot, delta
        self._entries: list[Entry | None] = list(snapshot.entries)
        newest = delta or snapshot
        for number, changed in newest.header["changes"].items():
            self._entries[int(number)] = entry(changed) if changed is not None else None
        # From an account id to what is said of it; None for nothing.
        self.entry = _said(snapshot, self._entries, delta, hashed)
        self.name: str = newest.header["list"]
        self.serial: int = newest.header["serial"]
        self.accounts: int = snapshot.header["count"]
        self.from_: float = newest.header["issued"] - SKEW
        self.valid_until: float = newest.header["valid_until"]
        self.origin = f"{self.name} {self.serial}"
        self.not_listed = Decision(OBSERVE, "not_listed", "", 0, self.origin, False)
        self.stale = Decision(OBSERVE, "stale_list", "", 0, self.origin, False)
        self.early = Decision(OBSERVE, "list_from_the_future", "", 0, self.origin, False)

    def entries(self) -> list[Entry]:
        """Every entry that is in force or simulated, those of the delta last."""
        held = [one for one in self._entries if one is not None]
        return held + (self.delta.entries if self.delta else [])


def opened(
    snapshot: Path, keys: Keys, delta: Path | None = None, *, after: int = 0, shared: Path | None = None
) -> WatchList:
    """Read a list. after: the highest serial number seen; a lower one is a rollback. Raises Refused.

    A delta to another snapshot is left out: it is older than the snapshot, or the snapshot it belongs to comes next.
    """
    newer = Part(delta, keys, shared) if delta is not None else None
    return joined(Part(snapshot, keys, shared), newer, keys, after=after)


def joined(snapshot: Part, delta: Part | None, keys: Keys, *, after: int = 0) -> WatchList:
    """A list of parts that were read."""
    if snapshot.header["kind"] != SNAPSHOT:
        raise Refused(DAMAGED, "this is a delta, and a snapshot is needed")
    if delta is not None:
        if delta.header["kind"] != DELTA or delta.header["list"] != snapshot.header["list"]:
            raise Refused(OTHER_LIST, "the delta belongs to another list")
        if (delta.header["base"], delta.header["base_body"]) != _identity(snapshot):
            delta = None
    if delta is not None and any(int(n) >= len(snapshot.entries) for n in delta.header["changes"]):
        raise Refused(DAMAGED, "the delta changes an entry that the snapshot lacks")
    found = WatchList(snapshot, delta, hasher(keys.account))
    if found.serial < after:
        raise Refused(ROLLBACK, f"the list has serial number {found.serial}, and {after} was seen before")
    return found


def _finder(held: mmap.mmap, fan: int, fan_bits: int, count: int) -> Callable[[bytes], int | None]:
    """A function from the hash of an account to the number of its entry; LIFTED for none, None for not listed.

    A function over local names, since it is called for every request.
    """
    hashes = fan + 4 * ((1 << fan_bits) + 1)
    places = hashes + HASH_BYTES * count
    shift = 32 - fan_bits
    prefix, pair, number, find = _PREFIX.unpack_from, _PAIR.unpack_from, _NUMBER.unpack_from, held.find

    def found(account: bytes) -> int | None:
        first, last = pair(held, fan + 4 * (prefix(account)[0] >> shift))
        end = hashes + HASH_BYTES * last
        at = find(account, hashes + HASH_BYTES * first, end)
        while at >= 0:
            # Sixteen bytes that begin inside of a hash are not one.
            if not (at - hashes) % HASH_BYTES:
                place: int = number(held, places + ((at - hashes) >> 2))[0]
                return place
            at = find(account, at + 1, end)
        return None

    return found


def _said(
    snapshot: Part, entries: list[Entry | None], delta: Part | None, hashed: Callable[[str], bytes]
) -> Callable[[str], Entry | None]:
    """A function from an account id to its entry, as `_finder` is one. entries: of the snapshot, as changed."""
    find, count = snapshot.find, len(entries)
    newer = delta.find if delta is not None else None
    others = delta.entries if delta is not None else []

    def said(account: str) -> Entry | None:
        sought = hashed(account)
        if newer is not None:
            number = newer(sought)
            if number is not None:
                return others[number] if number < len(others) else None
        number = find(sought)
        return entries[number] if number is not None and number < count else None

    return said


def _identity(part: Part) -> tuple[int, str]:
    return part.header["serial"], part.header["body_sha256"]


def _header(data: bytes) -> dict[str, Any]:
    """The header, its shape checked; its signature is checked next. Raises Refused."""
    try:
        held = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(DAMAGED, "the header is no JSON") from error
    if not isinstance(held, dict) or held.get("schema") != SCHEMA or held.get("account_hash") != HASH:
        raise Refused(VERSION, f"this gateway reads {SCHEMA} with {HASH}: update it, or publish for it")
    if not all(type(held.get(name)) is int and held[name] >= 0 for name in _NUMBERS):
        raise Refused(DAMAGED, "the header lacks a number")
    if not all(isinstance(held.get(name), str) for name in _TEXTS) or held["kind"] not in (SNAPSHOT, DELTA):
        raise Refused(DAMAGED, "the header lacks a text")
    if held["fan_bits"] > MOST_FAN_BITS or held["count"] > MOST_ACCOUNTS:
        raise Refused(DAMAGED, "the header names more accounts than a list can have")
    if not isinstance(held.get("entries"), list) or not _are_changes(held):
        raise Refused(DAMAGED, "the header lacks entries or changes")
    return held


def _are_changes(held: dict[str, Any]) -> bool:
    changes = held.get("changes")
    if not isinstance(changes, dict) or (changes and held["kind"] == SNAPSHOT):
        return False
    return all(number.isascii() and number.isdecimal() and len(number) < 10 for number in changes)


def trusted(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Public keys from their spellings. Raises ValueError."""
    return tuple(map(signatures.public_key, texts))
