"""An OpenAI-compatible client that stores every raw response, waits when asked to, and can be resumed.

Whoever answers may be hostile: a request has a deadline, and one that cannot be answered is recorded as unusable and
passed over, so that no single answer stops a collection for good.

The API key is read when it is needed and sent in one header; it appears in no file, message or process title.
Certificates are always checked, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import os
import random
import time
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from clonewatch.audit.answers import stored
from clonewatch.audit.folder import RAW, SENT, Folder
from clonewatch.audit.json_text import canonical
from clonewatch.audit.plan import ModelEndpoint, loopback
from clonewatch.audit.requests import Request
from clonewatch.model.errors import ClonewatchError, InputError, KeyFileError, SetupError
from clonewatch.model.secret_files import read_secret

# More than any answer requested here; an endless one must not fill the disk.
MOST_BYTES = 64 * 2**20
# What a token or one of its likely alternatives takes in a response, and what comes around them. To read a response
# takes many times its size of memory.
_TOKEN_BYTES, _FRAME_BYTES = 512, 2**20
# A model that writes long answers takes minutes; one that is silent for two is gone.
CONNECT_SECONDS, READ_SECONDS = 20.0, 120.0
# From the first byte sent to the last one received. A server that sends a byte a minute is never silent.
DEADLINE_SECONDS = 600.0
# A deadline is missed by a server that is overloaded, or by one that does it on purpose: not worth six attempts.
LATE_TRIES = 2
# 1 + 2 + 4 + 8 + 16 seconds, with jitter: short failures pass, permanent ones are reported within a minute.
TRIES = 6
FIRST_WAIT = 1.0
# A longer Retry-After is not a short failure: stop, and resume later.
LONGEST_WAIT = 300.0
# How an answer may be packed although it was asked for plain, with what zlib calls it; 0 for plain.
_CODING = "coding"
_CODINGS = {"identity": 0, "": 0, "gzip": 31, "x-gzip": 31, "deflate": 15}
_AGAIN = {408, 425, 429, 500, 502, 503, 504, 529}


class ClientError(ClonewatchError):
    """A model could not be queried; its earlier answers are kept, and the same command resumes from there."""


class Refusal(SetupError):
    """A model rejects the key, or there is none at the address; its earlier answers are kept."""


class Environment(NamedTuple):
    """A client's surroundings, which tests replace. transport: an httpx transport, None for the default."""

    transport: object = None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


REAL = Environment()


class Client:
    """A model that can be queried. name: its role. rate: maximum requests per second; 0 for no limit.

    Use it as a context manager, which closes the connections.
    """

    def __init__(
        self,
        name: str,
        source: ModelEndpoint,
        rate: float = 0.0,
        *,
        environment: Environment = REAL,
    ) -> None:
        self.name, self.source = name, source
        self._pause, self._last = (1 / rate if rate else 0.0), -1e9
        self._sleep, self._now = environment.sleep, environment.now
        self._http = _httpx()
        self._key = key_of(name, source)
        host = urlsplit(source.url).hostname or ""
        self._loop = asyncio.Runner()
        self._client = self._http.AsyncClient(
            verify=_trusted(),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
            event_hooks={"response": [_as_it_comes]},
            transport=environment.transport,
            # A proxy from the environment is for addresses outside this machine.
            trust_env=not loopback(host),
            timeout=self._http.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        with self._loop:
            self._loop.run(self._client.aclose())

    def ask(self, request: Request, sent: Callable[[int], None]) -> dict[str, Any]:
        """Send a request until there is a final answer, and return it as it is stored.

        sent: called with the attempt's number before each one. Raises ClientError if the model stays silent or busy,
        and SetupError if it rejects the key or the address.
        """
        reason, late = "", 0
        for attempt in range(1, TRIES + 1):
            self._sleep(max(0.0, self._last + self._pause - time.monotonic()))
            self._last = time.monotonic()
            sent(attempt)
            wait = FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
            try:
                status, headers, body, problem = self._loop.run(self._post(request))
            except TimeoutError:
                reason, late = f"no complete answer within {DEADLINE_SECONDS:g} seconds", late + 1
                if late == LATE_TRIES:
                    return unusable(request, reason, attempt, self._now())
            except zlib.error:
                return unusable(request, "its encoding cannot be decoded", attempt, self._now())
            except (self._http.RequestError, self._http.InvalidURL) as error:
                reason = type(error).__name__
            else:
                if status not in _AGAIN:
                    self._refused(status)
                    return self._kept(request, status, body, problem, attempt)
                reason = f"status {status}"
                asked = _retry_after(headers.get("retry-after", ""), self._now())
                if asked is not None:
                    wait = asked
                if wait > LONGEST_WAIT:
                    reason += f", and requests a wait of {wait:.0f} seconds"
                    break
            if attempt < TRIES:
                self._sleep(wait)
        raise ClientError(
            f"the {self.name} does not answer ({reason})",
            where=request.name,
            fix="Its answers so far are kept: run the same command again later, with a lower --rate if it is busy. "
            "If it then answers other requests and not this one, this one is recorded as unusable",
        )

    async def _post(self, request: Request) -> tuple[int, Any, bytes, str]:
        """Status, headers, body and its problem, for one attempt. Raises TimeoutError after the deadline."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        url = self.source.url.rstrip("/") + request.path
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            self._client.stream("POST", url, json=request.body, headers=headers) as answer,
        ):
            held, most = bytearray(), min(MOST_BYTES, _expected(request))
            coding = answer.extensions[_CODING].strip().lower()
            if coding not in _CODINGS:
                return answer.status_code, answer.headers, b"", "it has an encoding that was not asked for"
            unpack = zlib.decompressobj(_CODINGS[coding]) if _CODINGS[coding] else None
            async for piece in answer.aiter_bytes():
                # Never more at a time than is missing: a few bytes can hold gigabytes.
                held += unpack.decompress(piece, most + 1 - len(held)) if unpack else piece
                if len(held) > most:
                    return answer.status_code, answer.headers, b"", f"longer than {most:,} bytes, and not stored"
            if unpack and not unpack.eof:
                raise zlib.error
        body = bytes(held)
        if self._key and self._key.encode() in body:
            raise ClientError(
                f"an answer of the {self.name} repeats the API key, and was not stored",
                where=request.name,
                fix="Request a new key, and find out who operates this address",
            )
        return answer.status_code, answer.headers, body, ""

    def _refused(self, status: int) -> None:
        """Raise for statuses that no later request would change."""
        place = self.source.key_env or self.source.key_file or "no key_env and no key_file"
        if status in {401, 403}:
            raise Refusal(f"the {self.name} rejects the key (status {status})", where=place)
        if status in {404, 405} or 300 <= status < 400:
            raise Refusal(
                f"there is no model for the {self.name} at this address (status {status})",
                where=self.source.url,
                fix="Check url, model and api in the settings, and plan again",
            )

    def _kept(self, request: Request, status: int, body: bytes, problem: str, attempt: int) -> dict[str, Any]:
        told = unusable(request, problem, attempt, self._now())
        told |= {"status": status, "sha256": hashlib.sha256(body).hexdigest()}
        try:
            return {**told, "body": body.decode("utf-8")}
        except UnicodeDecodeError:
            del told["body"]
            return {**told, "body64": base64.b64encode(body).decode("ascii")}


def _expected(request: Request) -> int:
    """The most bytes of a response to a request: for every token that it may hold, given or generated, and its list."""
    body = request.body
    tokens = int(body.get("n", 1)) * int(body.get("max_tokens", 0))
    if body.get("echo"):
        tokens += sum(map(len, body["prompt"]))
    return _FRAME_BYTES + tokens * (1 + int(body.get("top_logprobs") or body.get("logprobs") or 0)) * _TOKEN_BYTES


def unusable(request: Request, problem: str, attempt: int, now: datetime) -> dict[str, Any]:
    """A response without a usable body, as it is stored. status: 0, because none counts."""
    return {
        "at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "attempt": attempt,
        "body": "",
        "problem": problem,
        "replayed": False,
        "request": request.body,
        "sha256": hashlib.sha256(b"").hexdigest(),
        "status": 0,
    }


class Replay:
    """A model that is not queried again: its answers come from the folder of another audit with the same requests."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def ask(self, request: Request, sent: Callable[[int], None]) -> dict[str, Any]:
        """See `Client.ask`. Raises InputError if the other audit did not send this request."""
        told = self._folder.object(f"{RAW}/{request.name}.json")
        if not stored(told):
            raise InputError(
                "this is not an answer as it was received",
                where=str(self._folder.path / RAW / request.name),
                fix="Restore the file from its backup, or collect anew",
            )
        if told.get("request") != request.body:
            raise InputError(
                "the other audit sent a different request here",
                where=str(self._folder.path / RAW / request.name),
                fix="Only answers to the same requests can be reused",
            )
        return {**told, "replayed": True}


def collect(
    folder: Folder, requests: Iterable[Request], models: dict[str, Client] | dict[str, Replay], step: Callable[[], None]
) -> int:
    """Send the unanswered requests, and store every answer before the next request; returns how many were new.

    step: called after each. A request that already failed in an earlier run and fails again is recorded as unusable as
    soon as its model has answered another one. Raises OutputError if the disk is full; only the current answer is then
    lost.
    """
    failed = {row.get("ask") for row in folder.rows(SENT)}
    held: dict[str, tuple[Request, ClonewatchError]] = {}
    new = 0
    for request in requests:
        name, source = f"{RAW}/{request.name}.json", request.source
        if not folder.has(name):
            try:
                told = models[source].ask(request, lambda attempt, n=request.name: _note(folder, n, attempt))  # type: ignore[misc]
            except (ClientError, Refusal) as error:
                if request.name not in failed or source in held:
                    raise
                held[source] = request, error
                continue
            folder.write(name, canonical(told))
            new += 1
            if source in held:
                new += _pass_over(folder, *held.pop(source))
        step()
    for request, failure in held.values():
        if not any(folder.object(f"{RAW}/{n}.json")["status"] == 200 for n in folder.answered(request.source)):
            raise failure
        new += _pass_over(folder, request, failure)
    return new


def _pass_over(folder: Folder, request: Request, error: ClonewatchError) -> int:
    """Record a request that its model does not answer while it answers others."""
    tries = sum(row.get("ask") == request.name for row in folder.rows(SENT))
    folder.write(f"{RAW}/{request.name}.json", canonical(unusable(request, error.what, tries, datetime.now(UTC))))
    return 1


def _note(folder: Folder, name: str, attempt: int) -> None:
    folder.note({"ask": name, "attempt": attempt, "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})


def key_of(name: str, source: ModelEndpoint) -> str:
    """The API key of a model, from its variable or its file. Raises a KeyFileError that never shows the key."""
    if source.key_env:
        key, where = os.environ.get(source.key_env, ""), f"the variable {source.key_env}"
    elif source.key_file:
        where = source.key_file
        held = read_secret(Path(where), f"the API key of the {name}", fix="Write the key into it, on one line")
        key = held.decode("utf-8", "replace").strip()
    else:
        return ""
    if not key or not key.isascii() or not key.isprintable():
        raise KeyFileError(f"there is no API key of the {name}", where=where, fix="Set it, in ASCII, on one line")
    return key


def _retry_after(told: str, now: datetime) -> float | None:
    """Seconds from a Retry-After header, which contains seconds or a date (RFC 9110, 10.2.3); None if it is neither.

    >>> _retry_after("7", datetime.now(UTC)), _retry_after("soon", datetime.now(UTC))
    (7.0, None)
    """
    if told.strip().isdecimal():
        return float(told)
    try:
        then = parsedate_to_datetime(told)
        wait = (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, wait)


async def _as_it_comes(answer: Any) -> None:
    """Keep the library from reading where a redirect leads, which may be no address, and from unpacking at once."""
    answer.headers.pop("location", None)
    answer.extensions[_CODING] = answer.headers.pop("content-encoding", "")


@cache
def _trusted() -> object:
    """What certificates are checked against; loaded once, as that takes longer than a request."""
    return _httpx().create_ssl_context()


def _httpx() -> ModuleType:
    """The HTTP library, an extra."""
    try:
        return importlib.import_module("httpx")
    except ImportError as error:
        raise SetupError("the package httpx is not installed", fix="Run: pip install 'clonewatch[audit]'") from error
