"""Proof that a gateway acts: it is seen to refuse the canary that was just published, and to serve it after its end."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from clonewatch_gateway.entries import NOTICE
from clonewatch_gateway.saying import LIMITED

PAUSE = 0.25
# A canary that is published again and again would never be served: then that is said.
MOST_SECONDS = 900
_TIMEOUT = 10
_MOST_BODY = 65_536
_UNTIL = re.compile(r'; case="canary"; until="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"; appeal="([^"\s]+)"')


class Gap(Exception):
    """The gateway did not do what was published. The message says what, in one line."""


class Seen(NamedTuple):
    """What was seen. refused_after: seconds until a request was refused. served_after: from the end to an answer."""

    status: int
    appeal: str
    refused_after: float
    served_after: float


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the headers hold a key, which is for this gateway alone."""

    def redirect_request(self, *_: object) -> None:
        """Take the redirect for an answer."""


_ASK = urllib.request.build_opener(_Stay)


class Canary(NamedTuple):
    """A request as the canary's account makes it. within: seconds that a list may take to reach the gateway."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    within: float
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep


def proved(canary: Canary) -> Seen:
    """Ask until refused, then until served again. Raises Gap."""
    start = canary.clock()
    status, notice = _asked(canary)
    while notice is None:
        if status and not 200 <= status < 300:
            raise Gap(f"answered {status} without a notice of the canary: the gateway, or what is behind it, refuses")
        if canary.clock() - start > canary.within:
            last = f"the last answer was {status}" if status else "it does not answer"
            raise Gap(f"not refused within {canary.within:g} seconds of asking: {last}")
        canary.pause(PAUSE)
        status, notice = _asked(canary)
    refused, seen = canary.clock() - start, status
    if seen == LIMITED and notice.retry_after < 1:
        raise Gap("refused with 429, and no retry-after")
    ends = notice.until
    while True:
        now = canary.clock()
        if now > min(ends + canary.within, start + MOST_SECONDS):
            raise Gap(f"still refused {now - ends:.0f} seconds after its end: what ends is not lifted")
        canary.pause(PAUSE)
        status, again = _asked(canary)
        if again is not None:
            ends = max(ends, again.until)
        elif 200 <= status < 300:
            return Seen(seen, notice.appeal, round(refused, 1), round(max(0.0, canary.clock() - ends), 1))
        elif status:
            raise Gap(f"answered {status} after its end, without a notice of the canary")


class _Notice(NamedTuple):
    until: float
    appeal: str
    retry_after: int


def _asked(canary: Canary) -> tuple[int, _Notice | None]:
    """Status of an answer, 0 for none, and what its refusal says of the canary."""
    request = urllib.request.Request(canary.url, canary.body, dict(canary.headers))  # noqa: S310
    try:
        with _ASK.open(request, timeout=_TIMEOUT) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        with error:
            # Gateways that let nobody set headers of a refusal carry the notice in its body, as text in JSON.
            body = error.read(_MOST_BODY).decode("utf-8", "replace").replace("\\", "")
            found = _UNTIL.search(error.headers.get(NOTICE, "")) or _UNTIL.search(body)
            if not found:
                return error.code, None
            until = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
            after = error.headers.get("retry-after", "")
            return error.code, _Notice(until, found[2], int(after) if after.isdigit() else 0)
    except (OSError, http.client.HTTPException):
        return 0, None
