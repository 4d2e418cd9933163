"""The asker's side: one holder over HTTP, its set-ups kept for the epoch, and what of the answers may be shown."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import ssl
from collections.abc import Collection, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from clonewatch.model import whole_files
from clonewatch.model.errors import OutputError, PeerError, SetupError
from clonewatch.model.secret_files import read_secret
from clonewatch.ports.progress import Progress, Silent
from clonewatch.sharing.matching import blinding, messages, sightings
from clonewatch.sharing.matching.blinding import Asker, BlindError
from clonewatch.sharing.matching.epoch import Epoch
from clonewatch.sharing.matching.messages import Hello
from clonewatch.sharing.matching.sightings import Met, Reply, Seen
from clonewatch.sharing.matching.values import ELEMENT_BYTES

# A set-up of 20 million values has about 110 MB.
MOST_SETUP_BYTES = 256 << 20
_MOST_JSON_BYTES = 1 << 20
# Values of a query are filled up to a multiple, so that their number says little.
FILL = 1_024
# Upper ends of the bands in which a number of matches is told; below the floor nothing is.
_STEPS = (1, 2, 5)


class Traffic(NamedTuple):
    """Bytes sent and received, of which the set-up, which is fetched once an epoch."""

    sent: int
    received: int
    setup: int


class Found(NamedTuple):
    """What came of one kind. asked: values. band: of how many matched, such as "20 to 49", or "fewer than 5".

    matched: elements that matched, in mode `which` unless withheld; else empty. withheld: below the floor, which counts
    our accounts that carry what matched, or in mode `count` the values.
    """

    kind: str
    asked: int
    band: str
    matched: frozenset[str]
    withheld: bool
    traffic: Traffic


class Address(NamedTuple):
    """Where a holder is. authority: a file of more certificates."""

    url: str
    key: str
    authority: Path | None = None


def band(count: int, floor: int) -> str:
    """A number of matches as it may be told: in steps of 1, 2, 5, so that one more or less value rarely shows.

    >>> band(4, 5), band(7, 5), band(26, 5), band(2500, 5)
    ('fewer than 5', '5 to 9', '20 to 49', '2000 to 4999')
    """
    if count < floor:
        return f"fewer than {floor}"
    low, high, scale = floor, floor, 1
    while count >= high:
        for step in _STEPS:
            if (end := step * scale) > floor:
                low, high = high, end
                if count < high:
                    break
        scale *= 10
    return f"{low} to {high - 1}"


class Client:
    """Asks one holder. cache: folder of set-ups. seconds: to wait for an answer."""

    def __init__(
        self, epoch: Epoch, address: Address, cache: Path, *, seconds: float = 120.0, progress: Progress | None = None
    ) -> None:
        """Raises SetupError for an address in the clear that is not this machine."""
        parts = urlsplit(address.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise SetupError("this is no address of a holder", where=address.url[:200], fix="https://HOST:PORT")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise SetupError("in the clear only this machine is asked", where=address.url[:200], fix="Use https://")
        self.epoch, self._address, self._cache, self._seconds = epoch, address, cache, seconds
        self._told = progress or Silent()
        self._sent = self._received = 0

    def hello(self) -> Hello:
        """What the holder offers. Raises PeerError where it holds another epoch, or does not answer."""
        body = self._call("GET", messages.HELLO, b"", _MOST_JSON_BYTES)
        try:
            told = msgspec.json.decode(body, type=Hello)
        except msgspec.MsgspecError:
            raise self._wrong("it says of itself what cannot be read") from None
        if (told.group, told.epoch, told.floor) != (self.epoch.group, self.epoch.name, self.epoch.floor):
            raise self._wrong("it holds another epoch")
        return told

    def match(self, hello: Hello, kind: str, held: Mapping[str, frozenset[str]], mode: blinding.Mode) -> Found:
        """Ask for elements of a kind. held: element -> accounts of ours that carry it. Raises PeerError, SetupError.

        Queries are filled up with random elements, which match nothing, to a multiple of FILL.
        """
        before = (self._sent, self._received)
        elements = sorted(held)
        if not 0 < len(elements) <= hello.most_values:
            raise SetupError(
                f"{len(elements):,} values of {kind}: a query has at most {hello.most_values:,}",
                fix="Ask for the values of one result with --scan, or cut the file",
            )
        setup, fetched = self._setup(hello, kind)
        self._told.start(f"query of {kind}", None, "values")
        more = min(-len(elements) % FILL, hello.most_values - len(elements))
        try:
            asker = Asker([*elements, *(secrets.token_hex(ELEMENT_BYTES) for _ in range(more))], mode)
            path = f"{messages.QUERY}/{kind}/{mode}"
            answer = self._call("POST", path, asker.request, blinding.MOST_REQUEST_BYTES)
            result = asker.matched(setup, answer)
        except BlindError as error:
            raise self._wrong(str(error)) from error
        self._told.end(f"{len(elements):,} values")
        floor = self.epoch.floor
        if isinstance(result, int):
            shown, matched, withheld = band(result, floor), frozenset[str](), result < floor
        else:
            # What counts is people: two cards of forty accounts may be shown, forty cards of two may not.
            withheld = len(frozenset[str]().union(*(held[one] for one in result))) < floor
            matched = frozenset[str]() if withheld else frozenset(result)
            shown = f"on fewer than {floor} accounts" if withheld else band(len(result), 1)
        traffic = Traffic(self._sent - before[0], self._received - before[1], fetched)
        return Found(kind, len(elements), shown, matched, withheld, traffic)

    def sighted(self, seen: Seen, matched: Mapping[str, Collection[str]], peer: str) -> list[Met]:
        """Say what we saw of each group that carries enough of what matched, and hear what the holder saw."""
        met: list[Met] = []
        for group, elements in seen.touched(matched, self.epoch.floor).items():
            ours = seen.sighting(group, peer)
            body = msgspec.json.encode(sightings.Question(elements, ours))
            try:
                told: Reply = sightings.reply(self._call("POST", messages.SIGHTINGS, body, _MOST_JSON_BYTES))
            except ValueError as error:
                raise self._wrong(str(error)) from error
            met += [Met(peer, group, ours, theirs) for theirs in told.sightings]
        return met

    def _setup(self, hello: Hello, kind: str) -> tuple[bytes, int]:
        """The set-up of a kind, fetched unless it is kept, and the bytes that came over the wire for it."""
        offer = hello.kinds.get(kind)
        if offer is None or not 0 < offer.bytes <= MOST_SETUP_BYTES:
            raise self._wrong(f"it does not match {kind}" if offer is None else "its set-up is too large")
        name = hashlib.sha256(f"{self._address.url} {kind}".encode()).hexdigest()[:16]
        path = self._cache / f"{self.epoch.group}-{self.epoch.name}-{name}.peer"
        if path.exists():
            kept = read_secret(path, "the set-up of a holder", most=MOST_SETUP_BYTES)
            if hashlib.sha256(kept).hexdigest() == offer.setup:
                return kept, 0
        self._told.start(f"set-up of {kind}", None, "bytes")
        data = self._call("GET", f"{messages.SETUP}/{kind}", b"", MOST_SETUP_BYTES)
        if hashlib.sha256(data).hexdigest() != offer.setup:
            raise self._wrong("its set-up is not the one it named")
        try:
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder: {error.strerror}", where=str(self._cache)) from error
        whole_files.write(path, data, whole_files.PRIVATE, "the set-up of a holder")
        self._told.end(f"{len(data):,} bytes")
        return data, len(data)

    def _call(self, method: str, path: str, body: bytes, most: int) -> bytes:
        """The body of an answer that proves to come from a holder of the epoch. Raises PeerError."""
        proof = messages.proven(self.epoch, method, path, body)
        kind = messages.PROTOBUF if path.startswith(messages.QUERY) else messages.JSON
        headers = proof | {"authorization": f"Bearer {self._address.key}", "content-type": kind}
        connection = self._connection()
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read(most + 1)
        except (OSError, HTTPException) as error:
            said = "it did not answer in time" if isinstance(error, TimeoutError) else f"no connection: {error}"
            raise self._wrong(said) from error
        finally:
            connection.close()
        self._sent, self._received = self._sent + len(body), self._received + len(data)
        if answer.status != 200:
            raise self._wrong(f"it refuses ({answer.status}): {_reason(data)}")
        expected = messages.answer_proof(self.epoch, proof[messages.NONCE], data)
        if len(data) > most or not hmac.compare_digest(expected.encode(), _latin(answer.headers.get(messages.PROOF))):
            raise self._wrong("its answer does not prove that it holds the epoch")
        return data

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self._address.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port or 80, timeout=self._seconds)
        context = ssl.create_default_context()
        if self._address.authority:
            context.load_verify_locations(self._address.authority)
        return HTTPSConnection(host, parts.port or 443, timeout=self._seconds, context=context)

    def _wrong(self, what: str) -> PeerError:
        return PeerError(f"the holder: {what}", where=self._address.url[:200], fix="Nothing was shown; ask again later")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(data: bytes) -> str:
    try:
        told: Any = msgspec.json.decode(data[:4096])
        return str(told["error"])[:300]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return "without a reason"


def _latin(value: str | None) -> bytes:
    return (value or "").encode("utf-8", "replace")
