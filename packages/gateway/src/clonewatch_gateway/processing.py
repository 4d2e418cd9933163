"""One request on its way through a proxy that shows its parts: Envoy's `ext_proc`, and what it is told at each of them.

The head of a request decides what else is looked at: its body where it is to be changed, or where only its content says
whether it belongs to a campaign; its answer where tokens are counted or the client is told something. Of all other
requests nothing but the head is seen. `envoy.py` carries this over gRPC.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from clonewatch_gateway.bodies import Usage, rewritten
from clonewatch_gateway.check import Service
from clonewatch_gateway.deciding import NO_FACTS, NO_LIST
from clonewatch_gateway.decisions import Decision
from clonewatch_gateway.forwarding import BYTES, asked
from clonewatch_gateway.saying import COUNTER, NOT_CARRIED_OUT, mode, refusal_body

REQUEST_BODY, RESPONSE_HEADERS, RESPONSE_BODY = "request_body", "response_headers", "response_body"
# The reason of a slice whose request is known by no attribute.
SLICE_UNKNOWN = "slice_unknown"
# Bytes of a body that are held back. A longer one Envoy would answer with 413 at its own bound, which is 1 MiB unless
# it is set; one of unknown length may become longer. Both pass as they are.
MOST_HELD = 1_000_000
# From the body of a request to its keyed attributes, each `signal:hex`.
Attributes = Callable[[bytes], Iterable[str]]
_LOG = logging.getLogger("clonewatch_gateway")
_Headers = tuple[tuple[str, str], ...]


class Refusal(NamedTuple):
    """An answer in the place of the model's."""

    status: int
    headers: _Headers
    body: bytes


class Reply(NamedTuple):
    """What is told at one part. refusal: the request goes no further. headers: set on what passes; removed: taken out.

    body: in the place of the one that came; None leaves it. wanted: the parts to be shown yet. said: for access logs.
    """

    refusal: Refusal | None = None
    headers: _Headers = ()
    removed: tuple[str, ...] = ()
    body: bytes | None = None
    wanted: frozenset[str] = frozenset()
    said: Mapping[str, str] = {}


PASS = Reply()


class Exchange:
    """A request and its answer. attributes: computes what a slice is told by; without it slices are served."""

    def __init__(self, service: Service, attributes: Attributes | None = None) -> None:
        self._service, self._attributes = service, attributes
        self._account, self._facts, self._decision = "", NO_FACTS, NO_LIST
        self._usage: Usage | None = None

    def request_headers(self, headers: Mapping[str, str], *, ended: bool) -> Reply:
        """The head of a request. headers: names in lower case. ended: it has no body."""
        began = time.perf_counter()
        sized = {**headers, BYTES: headers.get("content-length", "")}
        # Its answer is seen, so nothing is guessed of it.
        self._account, self._facts = asked(sized, 0)
        decision = self._service.stated(self._account, self._facts)
        asks = self._attributes is not None and decision.reason == SLICE_UNKNOWN
        if (decision.changes or asks) and not ended and 0 < _length(headers) <= MOST_HELD:
            self._decision = decision
            return Reply(removed=(COUNTER,), wanted=frozenset((REQUEST_BODY, RESPONSE_HEADERS)))
        reply = self._settled(decision, None)
        self._service.metrics.took(time.perf_counter() - began)
        return reply._replace(removed=(COUNTER,)) if not reply.refusal else reply

    def request_body(self, body: bytes, *, whole: bool) -> Reply:
        """The body of a request. whole: nothing of it is missing; a proxy holds back no more than its bound."""
        decision = self._decision
        if self._attributes is not None and decision.reason == SLICE_UNKNOWN and whole:
            self._facts = self._facts._replace(attributes=self._attributes_of(body))
            decision = self._service.stated(self._account, self._facts)
        made = rewritten(body, decision.changes) if decision.changes and whole else None
        reply = self._settled(decision, made)
        if made is None or made is body:
            return reply
        return reply._replace(body=made, headers=(*reply.headers, ("content-length", str(len(made)))))

    def response_headers(self) -> Reply:
        """The head of an answer: its client is told, and its tokens are counted where there is a counter for them."""
        wanted = frozenset((RESPONSE_BODY,)) if self._decision.charge else frozenset[str]()
        return Reply(headers=self._decision.headers, wanted=wanted)

    def response_body(self, part: bytes) -> Reply:
        """The next piece of an answer, which passes as it came."""
        if self._decision.charge:
            self._usage = self._usage or Usage()
            self._usage.add(part)
        return PASS

    def end(self) -> None:
        """Count the tokens of the answer; of one that was broken off, those that passed."""
        if self._usage is not None:
            self._service.counters.add(self._decision.charge, self._usage.tokens(), time.time())
            self._usage = None

    def _settled(self, decision: Decision, made: bytes | None) -> Reply:
        """Carry a decision out, and count it. made: the body with its changes."""
        if decision.changes and made is None:
            # Nobody is told of what did not happen; whoever watches is.
            decision = decision._replace(reason=NOT_CARRIED_OUT, headers=(), changes=())
        self._decision = decision
        self._service.counted(decision, self._facts)
        said = {
            "action": decision.action,
            "mode": mode(decision),
            "reason": decision.reason,
            "case": decision.case,
            "would": str(decision.would or 200),
        }
        if decision.status:
            headers = (*decision.headers, ("content-type", "application/json"))
            return Reply(Refusal(decision.status, headers, refusal_body(decision)), said=said)
        wanted = frozenset((RESPONSE_HEADERS,)) if decision.headers or decision.charge else frozenset[str]()
        counter = ((COUNTER, decision.charge),) if decision.charge and not decision.simulated else ()
        return Reply(headers=counter, wanted=wanted, said=said)

    def _attributes_of(self, body: bytes) -> frozenset[str]:
        try:
            return frozenset(self._attributes(body)) if self._attributes else frozenset()
        except Exception:  # noqa: BLE001  (whatever it is: a fault of ours refuses nobody)
            _LOG.exception("the attributes of a request were not computed; its slice is unknown")
            return frozenset()


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
