"""The holder's side: what may be asked by whom how often, logged before it is answered.

What bounds a peer who is not honest is here: it cannot learn how many of its values match without a query that is
counted, and in mode `count` one query says one number. Floors on matches are the asker's word
(`sharing.matching.asking`), because only the asker learns what matches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock
from time import time
from typing import NamedTuple

import msgspec

from clonewatch.model.errors import OutputError
from clonewatch.sharing.matching import blinding, messages, sightings
from clonewatch.sharing.matching.blinding import BlindError, Mode, Setup
from clonewatch.sharing.matching.epoch import MOST_VALUES, Epoch
from clonewatch.sharing.matching.messages import Hello, Offer, RefusedError
from clonewatch.sharing.matching.peers import COUNT, MODES, SIGHTINGS, WHICH, Peer
from clonewatch.sharing.matching.query_log import QueryLog
from clonewatch.sharing.matching.sightings import Seen

# Fetching of what askers may have, which says nothing new; and refusals, after which a peer is not logged any more.
MOST_LOOKS, MOST_REFUSALS = 500, 500
MOST_BODY_BYTES = blinding.MOST_REQUEST_BYTES
_UNLOGGED = "the query cannot be logged, so it is not answered; send it again later"
Work = Callable[[], bytes]


class Question(NamedTuple):
    """A request as it came. path: without the query. headers: names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is sent back. kind: content type."""

    body: bytes
    kind: str
    headers: dict[str, str]


class Holder:
    """Answers the peers of one epoch. seen: its groups, for sightings. clock: Unix seconds."""

    def __init__(
        self,
        epoch: Epoch,
        setups: Mapping[str, Setup],
        peers: Mapping[str, Peer],
        log: QueryLog,
        *,
        seen: Seen | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self.epoch, self.setups, self.peers, self.log, self.seen = epoch, setups, peers, log, seen
        self._clock, self._one = clock, Lock()
        self._by_key = {peer.sha256: name for name, peer in peers.items()}

    def whose(self, authorization: str) -> str:
        """The name of the peer whose key this is. Raises RefusedError."""
        scheme, _, key = authorization.partition(" ")
        name = self._by_key.get(hashlib.sha256(key.strip().encode("utf-8", "replace")).hexdigest())
        if scheme.lower() != "bearer" or name is None:
            raise RefusedError(401, "send a key of this service as `Authorization: Bearer cwk_...`")
        if self.log.refusals[name, self.epoch.name] >= MOST_REFUSALS:
            raise RefusedError(429, "too much was refused in this epoch; speak with the holder")
        return name

    def answer(self, peer: str, asked: Question) -> Answer:
        """The answer to a request of a peer, which is in the log. Raises RefusedError, which is in the log too."""
        kind, mode = _about(asked.path)
        try:
            # What is checked and counted is so for one request at a time; the arithmetic is done beside others.
            with self._one:
                nonce = self._let_in(peer, asked)
                work, content = self._counted(peer, kind, mode, nonce, asked)
            body = work()
        except BlindError as error:
            raise self._refused(peer, kind, mode, RefusedError(400, str(error))) from error
        except RefusedError as error:
            raise self._refused(peer, kind, mode, error) from error
        except OutputError as error:
            raise RefusedError(503, _UNLOGGED) from error
        return Answer(body, content, {messages.PROOF: messages.answer_proof(self.epoch, nonce, body)})

    def _let_in(self, peer: str, asked: Question) -> str:
        now = self._clock()
        nonce = messages.checked(self.epoch, asked.method, asked.path, asked.headers, asked.body, now)
        if nonce in self.log.nonces:
            raise RefusedError(409, "this request was answered before; a new one has a new nonce")
        if over := self.epoch.holds(datetime.fromtimestamp(now, UTC).date().isoformat()):
            raise RefusedError(410, over)
        return nonce

    def _counted(self, peer: str, kind: str, mode: str, nonce: str, asked: Question) -> tuple[Work, str]:
        """What there is to do for a request, once it is in the log, and the content type of what comes of it."""
        if asked.method == "GET" and asked.path == messages.HELLO:
            self._look(peer, nonce)
            return lambda: msgspec.json.encode(self._hello()), messages.JSON
        if asked.method == "GET" and asked.path == f"{messages.SETUP}/{kind}":
            held = self._setup(kind)
            self._look(peer, nonce)
            return lambda: held.message, messages.PROTOBUF
        if asked.method == "POST" and mode in (COUNT, WHICH) and asked.path == f"{messages.QUERY}/{kind}/{mode}":
            return self._query(peer, kind, "which" if mode == WHICH else "count", nonce, asked.body), messages.PROTOBUF
        if asked.method == "POST" and asked.path == messages.SIGHTINGS:
            return self._sighted(peer, nonce, asked.body), messages.JSON
        raise RefusedError(404, f"there is no such address; there are {', '.join(_ADDRESSES)}")

    def _hello(self) -> Hello:
        kinds = {k: Offer(hashlib.sha256(s.message).hexdigest(), len(s.message)) for k, s in self.setups.items()}
        held = self.epoch
        return Hello(held.group, held.name, held.until, held.floor, MOST_VALUES, kinds, self.seen is not None)

    def _setup(self, kind: str) -> Setup:
        if kind not in self.setups:
            raise RefusedError(404, f"this holder matches {', '.join(self.setups) or 'nothing'}")
        return self.setups[kind]

    def _look(self, peer: str, nonce: str) -> None:
        if self.log.queries[peer, self.epoch.name, "", "look"] >= MOST_LOOKS:
            raise RefusedError(429, f"{MOST_LOOKS} looks were taken in this epoch")
        self.log.add(peer, self.epoch.name, "", "look", nonce=nonce)

    def _query(self, peer: str, kind: str, mode: Mode, nonce: str, body: bytes) -> Work:
        held = self._setup(kind)
        asked = blinding.asked(body, mode, self.epoch.floor)
        # Spent before the answer is made: whoever breaks it off has asked all the same.
        self._spend(peer, kind, mode, asked, nonce)
        return lambda: blinding.answered(held.key, body, mode)

    def _sighted(self, peer: str, nonce: str, body: bytes) -> Work:
        seen = self.seen
        if seen is None:
            raise RefusedError(404, "this holder says nothing of what it saw")
        told = sightings.question(body)
        self._spend(peer, "", SIGHTINGS, sum(map(len, told.elements.values())), nonce)
        said = msgspec.json.encode(seen.answer(told, self.epoch.floor, peer))
        return lambda: said

    def _spend(self, peer: str, kind: str, mode: str, values: int, nonce: str) -> None:
        """Count a query. Raises RefusedError where the peer may not, or has no more of them."""
        may, place = self.peers[peer], (peer, self.epoch.name, kind, mode)
        if mode not in may.modes:
            raise RefusedError(403, f"this key may ask for {', '.join(may.modes)}")
        if self.log.queries[place] >= may.queries:
            raise RefusedError(429, f"your {may.queries:,} queries of this kind and epoch are spent")
        if self.log.values[place] + values > may.values:
            left = may.values - self.log.values[place]
            raise RefusedError(429, f"of your {may.values:,} values of this kind and epoch {left:,} are left")
        self.log.add(peer, self.epoch.name, kind, mode, values=values, nonce=nonce)

    def _refused(self, peer: str, kind: str, mode: str, error: RefusedError) -> RefusedError:
        try:
            known = kind if kind in self.setups else ""
            self.log.add(peer, self.epoch.name, known, mode, refused=f"{error.status} {error.said}")
        except OutputError:
            return RefusedError(503, _UNLOGGED)
        return error


_ADDRESSES = (f"GET {messages.HELLO}", f"GET {messages.SETUP}/KIND", f"POST {messages.QUERY}/KIND/MODE",
              f"POST {messages.SIGHTINGS}")  # fmt: skip


def _about(path: str) -> tuple[str, str]:
    """The kind and the mode that an address names, as far as there are such."""
    if path == messages.SIGHTINGS:
        return "", SIGHTINGS
    parts = path.split("/")[4:]
    mode = parts[1] if len(parts) == 2 and parts[1] in MODES else "look"
    return parts[0] if parts else "", mode
