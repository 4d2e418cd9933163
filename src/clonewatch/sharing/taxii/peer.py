"""The client of a peer's collection over TAXII 2.1: pulls what was added since the last time, pushes a release.

The peer is not trusted: its answers are bounded, redirects are not followed, the key goes to no other host, and what
comes is read by `stix_reading` before anything is written.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from clonewatch.model.errors import PeerError, SetupError
from clonewatch.sharing.formats import stix, stix_words
from clonewatch.sharing.formats.libraries import needed
from clonewatch.sharing.formats.reading import MOST_BYTES, MOST_OBJECTS, Read, value
from clonewatch.sharing.formats.stix_reading import read_objects
from clonewatch.sharing.release import Release
from clonewatch.sharing.taxii.store import moment

MEDIA = "application/taxii+json;version=2.1"
_PAGE, _MOST_PAGES = 500, 1_000
_SECONDS = 30.0
_STATUS_TRIES = 10
_IDS = 20  # named in one address, which would else be too long


class Peer(NamedTuple):
    """Where a collection is. root: URL of its API root. collection: its id. user, key: as the peer gave them.

    without_definition: leave the extension-definition out of what is pushed, for servers that stumble over it.
    authority: file of more certificates.
    """

    root: str
    collection: str
    user: str = ""
    key: str = ""
    without_definition: bool = False
    authority: Path | None = None


class Pulled(NamedTuple):
    """What came, and the moment of adding of the last of it, from which the next pull goes on."""

    read: Read
    objects: int
    after: str


class _ForbiddenError(PeerError):
    """The key may not do this, or there is nothing of it."""


class Client:
    """A connection to one peer; use it with `with`."""

    def __init__(self, peer: Peer) -> None:
        httpx = needed("httpx")
        self._peer, self._errors = peer, (httpx.HTTPError, httpx.InvalidURL)
        _check(peer)
        context = ssl.create_default_context(cafile=str(peer.authority) if peer.authority else None)
        login = (peer.user, peer.key) if peer.user else None
        headers = {"accept": MEDIA} | ({} if login or not peer.key else {"authorization": f"Bearer {peer.key}"})
        self._http = httpx.Client(
            auth=login, headers=headers, verify=context, timeout=_SECONDS, follow_redirects=False, trust_env=False
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def pull(self, today: str, after: str = "", sender: str = "") -> Pulled:
        """Everything that was added after a moment. today: a day. sender: the only one whose releases are taken.

        Raises PeerError where the peer cannot be asked, SetupError where what came is refused; nothing of it is taken
        then.
        """
        objects: list[Any] = []
        last = after
        for page, added in self._pages(after):
            objects += page
            last = max(last, added)
            if len(objects) > MOST_OBJECTS:
                raise SetupError(f"the peer has more than {MOST_OBJECTS:,} new objects", where=self._peer.root)
        read = read_objects(objects, today)
        if strangers := sorted({one.sender for one in read.releases} - {sender or one.sender for one in read.releases}):
            raise SetupError(
                f"refused, and nothing of it was taken: a release of {strangers[0][:40]!r}, not of {sender!r}",
                where=self._peer.root,
            )
        return Pulled(read, len(objects), last)

    def push(self, release: Release, *, plain: bool = False) -> int:
        """Add a release; how many objects were new to the peer. Raises PeerError where it refuses one."""
        earlier = self._earlier(release) if release.revision > 1 else []
        made = stix.objects(release, plain=plain, earlier=earlier)
        if self._peer.without_definition:
            made = [one for one in made if one["type"] != "extension-definition"]
        return self.add(made)

    def _earlier(self, release: Release) -> list[Any]:
        """What the peer has of a release, whose times of making stay; nothing where it may not be read."""
        names = [one["id"] for one in stix.drafts(release) if one.get("modified", stix_words.FIXED) != stix_words.FIXED]
        found: list[Any] = []
        for start in range(0, len(names), _IDS):
            asked = {"match[id]": ",".join(names[start : start + _IDS]), "limit": str(_IDS)}
            try:
                page = self._asked("GET", self._place("objects/"), params=asked).get("objects", [])
            except _ForbiddenError:
                return []
            found += [one for one in page if isinstance(one, dict)] if isinstance(page, list) else []
        return found

    def add(self, made: Sequence[stix.Object]) -> int:
        """Add objects, and wait until the peer says what became of them. Raises PeerError."""
        status = self._asked("POST", self._place("objects/"), json={"objects": list(made)})
        for _ in range(_STATUS_TRIES):
            if status.get("status") != "pending":
                break
            status = self._asked("GET", f"{self._peer.root.rstrip('/')}/status/{_name(status.get('id'))}/")
        failures, done = status.get("failures", []), status.get("success_count")
        if not isinstance(failures, list) or not all(isinstance(one, dict) for one in failures):
            raise PeerError("the peer's status cannot be read", where=self._peer.root)
        # Some servers count as a failure that they have an object already; these never change.
        fixed = {one["id"] for one in made if one.get("modified", stix_words.FIXED) == stix_words.FIXED}
        lost = [one for one in failures if one.get("id") not in fixed]
        whole = isinstance(done, int) and done + len(failures) == len(made)
        if status.get("status") != "complete" or lost or not whole:
            said = next((str(one.get("message", "")) for one in (lost or failures)), "") or str(status.get("status"))
            raise PeerError(f"the peer did not take it: {said[:300]}", where=self._peer.root)
        return len(made) - len(failures)

    def _pages(self, after: str) -> Iterator[tuple[list[Any], str]]:
        cursor = ""
        for _ in range(_MOST_PAGES):
            asked = (
                {"limit": str(_PAGE)} | ({"added_after": after} if after else {}) | ({"next": cursor} if cursor else {})
            )
            headers: dict[str, str] = {}
            told = self._asked("GET", self._place("objects/"), params=asked, seen=headers)
            page = told.get("objects", [])
            if not isinstance(page, list):
                raise PeerError("the peer's answer is no envelope", where=self._peer.root)
            # Some servers say only the first where there is one object.
            yield page, max(_moment(headers.get(f"x-taxii-date-added-{end}", "")) for end in ("first", "last"))
            following = told.get("next")
            if told.get("more") is not True:
                return
            if not isinstance(following, str) or following == cursor or not page:
                raise PeerError("the peer's pages have no end", where=self._peer.root)
            cursor = following
        raise PeerError(f"the peer has more than {_MOST_PAGES} pages", where=self._peer.root)

    def _place(self, name: str) -> str:
        return f"{self._peer.root.rstrip('/')}/collections/{self._peer.collection}/{name}"

    def _asked(
        self, method: str, url: str, params: Any = None, json: Any = None, seen: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object that the peer answers. Raises PeerError."""
        kind = {"content-type": MEDIA} if method == "POST" else {}
        parts: list[bytes] = []
        try:
            with self._http.stream(method, url, params=params, json=json, headers=kind) as answer:
                size = 0
                for part in answer.iter_bytes():
                    size += len(part)
                    if size > MOST_BYTES:
                        raise PeerError(f"the peer's answer has more than {MOST_BYTES:,} bytes", where=url)
                    parts.append(part)
                status, headers = answer.status_code, answer.headers
        except self._errors as error:
            raise PeerError(f"the peer cannot be asked: {type(error).__name__}", where=url) from error
        if seen is not None:
            seen.update(headers)
        if status not in (200, 202):
            raise _refusal(status, headers.get("retry-after", ""), b"".join(parts), url)
        try:
            told = value(b"".join(parts))
        except SetupError as error:
            raise PeerError(f"the peer's answer cannot be read: {error.what}", where=url) from error
        if not isinstance(told, dict):
            raise PeerError("the peer's answer is no object", where=url)
        return told


def _refusal(status: int, later: str, body: bytes, url: str) -> PeerError:
    fixes = {
        401: "Check the name and the key",
        403: "Ask the peer what this key may do",
        404: "Check the id of the collection, and that the address is that of the API root",
        406: "The peer does not speak TAXII 2.1",
        429: f"Try again in {later[:10] or 'some'} seconds",
    }
    try:
        told = value(body)
    except SetupError:
        told = {}
    title = str(told.get("title", ""))[:200] if isinstance(told, dict) else ""
    kind = _ForbiddenError if status in (403, 404) else PeerError
    return kind(
        f"the peer answers {status}{f': {title}' if title else ''}", where=url, fix=fixes.get(status, "Try again later")
    )


def _check(peer: Peer) -> None:
    """Raises SetupError for an address to which a key must not go."""
    parts = urlsplit(peer.root)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise SetupError("this is no address of an API root", where=peer.root, fix="Write https://host/api/")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise SetupError("a key does not go over the network in the clear", where=peer.root, fix="Write https://")
    _name(peer.collection)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(told: object) -> str:
    """A UUID that goes into an address. Raises SetupError."""
    if isinstance(told, str) and stix_words.UUID_FORM.fullmatch(told):
        return told
    raise SetupError(f"{str(told)[:60]!r} is no id such as 7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b10")


def _moment(told: str) -> str:
    try:
        return moment(told) if told else ""
    except ValueError:
        return ""
