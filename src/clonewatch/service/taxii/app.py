"""The routes of TAXII 2.1 (OASIS, 10 June 2021), behind keys and rates; what peers add is read before it is kept."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clonewatch.model.errors import SetupError
from clonewatch.service.rates import Rates
from clonewatch.service.taxii.settings import Collection, Settings
from clonewatch.sharing.formats import stix
from clonewatch.sharing.formats.reading import value
from clonewatch.sharing.formats.stix_reading import read_objects
from clonewatch.sharing.taxii.store import Held, Store, Wanted, moment, spelled

MEDIA = "application/taxii+json;version=2.1"
ROOT = "/api/"
_ACCEPTED = {"application/taxii+json", MEDIA}
_PARAMETERS = {"limit", "next", "added_after", "match[id]", "match[type]", "match[version]", "match[spec_version]"}
_STRANGERS_PER_MINUTE = 30
_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'",
}

log = logging.getLogger("clonewatch.taxii")
Answer = Callable[[Request, str], Awaitable[Response]]


class Refused(Exception):
    """A request that is answered with an error. headers: more of them."""

    def __init__(self, status: int, title: str, said: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(title)
        self.status, self.title, self.said, self.headers = status, title, said, dict(headers or {})


class Server:
    """Collections over HTTP. today: a day, for what has ended."""

    def __init__(self, settings: Settings, today: Callable[[], str] = lambda: f"{datetime.now(UTC):%Y-%m-%d}") -> None:
        self.settings, self._today = settings, today
        self.store = Store(Path(settings.store))
        self._rates = {name: Rates(peer.requests_per_minute) for name, peer in settings.peers.items()}
        self._strangers = Rates(_STRANGERS_PER_MINUTE)
        self._by_id = {one.id: one for one in settings.collections.values()}

    def app(self) -> Starlette:
        """The application."""
        one = ROOT + "collections/{collection}/"
        ways: list[tuple[str, str, Answer]] = [
            ("/taxii2/", "GET", self._discovery),
            (ROOT, "GET", self._root),
            (ROOT + "status/{status}/", "GET", self._status),
            (ROOT + "collections/", "GET", self._collections),
            (one, "GET", self._collection),
            (one + "manifest/", "GET", self._manifest),
            (one + "objects/", "GET", self._objects),
            (one + "objects/", "POST", self._add),
            (one + "objects/{object}/", "GET", self._objects),
            (one + "objects/{object}/versions/", "GET", self._versions),
        ]
        routes = [Route(path, self._guarded(way), methods=[method]) for path, method, way in ways]
        made = Starlette(routes=routes, exception_handlers={HTTPException: self._missing})
        made.router.redirect_slashes = False
        return made

    def _guarded(self, way: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                peer = self._peer(request)
                _accepts(request)
                return await way(request, peer)
            except Refused as error:
                return _error(error)
            except SetupError as error:
                log.error("the collections cannot be read", extra={"problem": error.what})
                return _error(Refused(503, "The collections cannot be read now", "", {"retry-after": "60"}))

        return answered

    async def _missing(self, _request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return _error(Refused(status, "There is nothing here" if status == 404 else "This cannot be done here"))

    def _peer(self, request: Request) -> str:
        """Whose request it is. Raises Refused where it is nobody's or comes too often."""
        scheme, _, told = request.headers.get("authorization", "").partition(" ")
        name: str | None = None
        key = told.strip()
        if scheme.lower() == "basic":
            name, key = _basic(key)
        peer = self.settings.whose(name, key) if scheme.lower() in ("basic", "bearer") else None
        address = request.client.host if request.client else ""
        if peer is None:
            if not self._strangers.takes(address):
                raise Refused(429, "Too many requests without a key", headers={"retry-after": "60"})
            ways = {"www-authenticate": 'Basic realm="taxii", charset="UTF-8"'}
            raise Refused(401, "Send the name and key of a peer", headers=ways)
        if not self._rates[peer].takes(peer):
            most = self.settings.peers[peer].requests_per_minute
            raise Refused(429, f"This key may send {most} requests a minute", headers={"retry-after": "60"})
        return peer

    def _readable(self, request: Request, peer: str) -> Collection:
        found = self._seen(request, peer)
        if peer not in found.read:
            raise Refused(403, "This key may not read this collection")
        return found

    def _seen(self, request: Request, peer: str) -> Collection:
        """The collection of a request. Raises Refused, in the same words for one that is not there or for others."""
        found = self._by_id.get(request.path_params["collection"])
        if found is None or peer not in (*found.read, *found.write):
            raise Refused(404, "There is no such collection")
        return found

    async def _discovery(self, request: Request, _peer: str) -> Response:
        root = (self.settings.listen.url or str(request.base_url)).rstrip("/") + ROOT
        told = {"title": self.settings.title, "default": root, "api_roots": [root]}
        return _answer(told | ({"contact": self.settings.contact} if self.settings.contact else {}))

    async def _root(self, _request: Request, _peer: str) -> Response:
        told = {"title": self.settings.title, "versions": [MEDIA], "max_content_length": self.settings.most_bytes}
        return _answer(told)

    async def _collections(self, _request: Request, peer: str) -> Response:
        seen = [one for one in self.settings.collections.values() if peer in (*one.read, *one.write)]
        return _answer({"collections": [_told(one, peer) for one in seen]} if seen else {})

    async def _collection(self, request: Request, peer: str) -> Response:
        return _answer(_told(self._seen(request, peer), peer))

    async def _page(self, request: Request, peer: str, **fixed: Any) -> tuple[list[Held], bool]:
        found = self._readable(request, peer)
        wanted = _wanted(request, self.settings.most_page)._replace(**fixed)
        rows, more = await run_in_threadpool(self.store.page, found.id, wanted)
        if not rows and "object" in request.path_params:
            raise Refused(404, "There is no such object")
        return rows, more

    async def _objects(self, request: Request, peer: str) -> Response:
        name = request.path_params.get("object")
        rows, more = await self._page(request, peer, **({"ids": (name,)} if name else {}))
        return _paged({"objects": [json.loads(one.body) for one in rows]}, rows, more)

    async def _manifest(self, request: Request, peer: str) -> Response:
        rows, more = await self._page(request, peer)
        media = "application/stix+json;version=2.1"
        told = [{"id": o.id, "date_added": o.added, "version": o.version, "media_type": media} for o in rows]
        return _paged({"objects": told}, rows, more)

    async def _versions(self, request: Request, peer: str) -> Response:
        rows, more = await self._page(request, peer, ids=(request.path_params["object"],), versions=("all",))
        return _paged({"versions": [one.version for one in rows]}, rows, more)

    async def _status(self, request: Request, peer: str) -> Response:
        held = await run_in_threadpool(self.store.status, request.path_params["status"], peer)
        if held is None:
            raise Refused(404, "There is no such status")
        return _answer(json.loads(held))

    async def _add(self, request: Request, peer: str) -> Response:
        found = self._seen(request, peer)
        if peer not in found.write:
            raise Refused(403, "This key may not add to this collection")
        if request.headers.get("content-type", "").replace(" ", "").lower() not in _ACCEPTED:
            raise Refused(415, f"Send it as {MEDIA}")
        body = await self._body(request)
        status = await run_in_threadpool(self._taken, found, peer, body)
        return _answer(status, 202)

    async def _body(self, request: Request) -> bytes:
        most, parts, size = self.settings.most_bytes, [], 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise Refused(413, f"A body may have {most:,} bytes", headers={"connection": "close"})
            parts.append(part)
        return b"".join(parts)

    def _taken(self, found: Collection, peer: str, body: bytes) -> dict[str, Any]:
        """What became of an envelope: all of it was taken, or nothing."""
        try:
            held = value(body)
        except SetupError as error:
            raise Refused(400, "This is no envelope", error.what) from None
        given = held.get("objects") if isinstance(held, dict) else None
        if not isinstance(given, list) or not given:
            raise Refused(422, "This is no envelope with objects")
        said = self._kept(found, peer, given)
        told: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "status": "complete",
            "request_timestamp": spelled(datetime.now(UTC)),
            "total_count": len(given),
            "success_count": 0 if said else len(given),
            "failure_count": len(given) if said else 0,
            "pending_count": 0,
        }
        told["failures" if said else "successes"] = [_detail(one, said) for one in given[: self.settings.most_page]]
        self.store.keep_status(told["id"], peer, json.dumps(told))
        log.info("an envelope was read", extra={"peer": peer, "objects": len(given), "refused": bool(said)})
        return told

    def _kept(self, found: Collection, peer: str, given: Sequence[Any]) -> str:
        """Keep objects. Why they were refused; empty where they were not."""
        sender = self.settings.peers[peer].sender
        try:
            read = read_objects(given, self._today())
            if strangers := sorted({one.sender for one in read.releases} - {sender}):
                return f"this key may not add releases of {strangers[0][:40]!r}"
            allowed = {stix.sender_id(sender)}
            if any(
                one["type"] in ("sighting", "opinion") and one.get("created_by_ref") not in allowed for one in given
            ):
                return f"this key may not speak for others than {sender[:40]!r}"
            self.store.add(found.id, given, peer)
        except SetupError as error:
            return error.what + (f" ({error.where})" if error.where else "")
        return ""

    def _speaks_for_others(self, one: Mapping[str, Any], sender: str) -> bool:
        """Whether an object is by a provider that has another key, or a reply that is not by this one."""
        by = one.get("created_by_ref")
        known = {self.settings.sender, *(peer.sender for peer in self.settings.peers.values())} - {sender, ""}
        reply = one["type"] in ("sighting", "opinion") and by != stix.sender_id(sender)
        return reply or by in {stix.sender_id(other) for other in known}


def _basic(told: str) -> tuple[str | None, str]:
    try:
        name, _, key = base64.b64decode(told, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return name, key


def _accepts(request: Request) -> None:
    """Raises Refused where no kind that is asked for is ours."""
    asked = request.headers.get("accept", "*/*").lower().replace(" ", "")
    kinds = [kind.partition(";q=")[0] for kind in asked.split(",")]
    if not any(kind in (*_ACCEPTED, "*/*", "application/*") for kind in kinds):
        raise Refused(406, f"Here is only {MEDIA}")


def _wanted(request: Request, most: int) -> Wanted:
    """What the parameters of a request ask for. Raises Refused."""
    given = request.query_params
    if unknown := sorted(set(given) - _PARAMETERS):
        raise Refused(400, f"There is no parameter {unknown[0][:40]!r}")
    lists = {
        name: tuple(one for one in given.get(f"match[{name}]", "").split(",") if one)
        for name in ("id", "type", "version", "spec_version")
    }
    if any(len(held) > 100 for held in lists.values()):
        raise Refused(400, "A filter may name 100 values")
    try:
        limit, cursor = int(given.get("limit", most)), int(given.get("next", 0))
        after = moment(given["added_after"]) if "added_after" in given else ""
        names = ("last", "first", "all")
        versions = tuple(one if one in names else moment(one) for one in lists["version"]) or ("last",)
    except ValueError as error:
        raise Refused(400, "A parameter is not of its form", str(error)[:200]) from None
    if limit < 1 or not 0 <= cursor < 1 << 62:
        raise Refused(400, "limit is 1 at least, and next is what an answer said")
    return Wanted(after, cursor, min(limit, most), lists["id"], lists["type"], versions, lists["spec_version"])


def _told(one: Collection, peer: str) -> dict[str, Any]:
    told: dict[str, Any] = {"id": one.id, "title": one.title}
    told |= {"description": one.description} if one.description else {}
    return told | {
        "can_read": peer in one.read,
        "can_write": peer in one.write,
        "media_types": ["application/stix+json;version=2.1"],
    }


def _detail(one: object, said: str) -> dict[str, str]:
    """An object in a status."""
    held = one if isinstance(one, dict) else {}
    told = {"id": str(held.get("id", ""))[:120]}
    told |= {"version": str(version)[:40]} if (version := held.get("modified") or held.get("created")) else {}
    return told | ({"message": said[:400]} if said else {})


def _paged(told: dict[str, Any], rows: Sequence[Held], more: bool) -> Response:
    held = told if rows else {}
    if more:
        held = {"more": True, "next": str(rows[-1].seq), **held}
    added = sorted(one.added for one in rows)
    headers = {"x-taxii-date-added-first": added[0], "x-taxii-date-added-last": added[-1]} if added else {}
    return _answer(held, headers=headers)


def _answer(told: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(told), status, {**_HEADERS, **(headers or {}), "content-type": MEDIA})


def _error(error: Refused) -> Response:
    told = {"title": error.title, "http_status": str(error.status)}
    return _answer(told | ({"description": error.said} if error.said else {}), error.status, error.headers)
