"""Pulls a watch list from a web server into a folder, for gateways without a shared volume.

Nothing that comes is trusted: it replaces a file whole or not at all, and who follows the folder checks it.
"""

from __future__ import annotations

import contextlib
import os
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from clonewatch_gateway.following import DELTA_NAME, SNAPSHOT_NAME
from clonewatch_gateway.mapping import MOST_BYTES

PERIOD = 2.0
_TIMEOUT = 10.0
_PIECE = 1 << 20
_NOT_MODIFIED, _NOT_FOUND = 304, 404


class NotPulled(Exception):
    """A file that could not be fetched, and why; what was there stays."""


class Puller:
    """Fetches the files of a list when they changed. url: of the folder, http or https."""

    def __init__(self, url: str, folder: Path) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address that begins with http:// or https://")
        self._url, self._folder = url.rstrip("/"), folder
        self._known: dict[str, dict[str, str]] = {}
        # A server that sends elsewhere is not followed: it could name an address inside of your network.
        self._open = urllib.request.build_opener(_NoRedirect).open

    def pull(self) -> list[str]:
        """Fetch what changed; the names of what came or went. Raises NotPulled."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # The snapshot comes first: a delta to another snapshot is left out by readers, so no pair of files is wrong.
        return [name for name in (SNAPSHOT_NAME, DELTA_NAME) if self._pulled(name)]

    def _pulled(self, name: str) -> bool:
        path = self._folder / name
        known = self._known.get(name, {}) if path.exists() else {}
        asked = urllib.request.Request(f"{self._url}/{name}", headers=known)  # noqa: S310  (http or https, see above)
        try:
            with self._open(asked, timeout=_TIMEOUT) as answer:
                self._keep(answer, path)
                self._known[name] = _condition(answer.headers)
                return True
        except urllib.error.HTTPError as error:
            if error.code == _NOT_MODIFIED:
                return False
            if error.code == _NOT_FOUND and name == DELTA_NAME:
                gone = path.exists()
                path.unlink(missing_ok=True)
                return gone
            raise NotPulled(f"{name}: the server answers {error.code}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise NotPulled(f"{name}: {error}") from error

    def _keep(self, answer: HTTPResponse, path: Path) -> None:
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with aside.open("wb") as file:
                size = 0
                while piece := answer.read(_PIECE):
                    size += len(piece)
                    if size > MOST_BYTES:
                        raise NotPulled(f"{path.name} is longer than {MOST_BYTES:,} bytes")
                    file.write(piece)
                length = answer.headers.get("content-length")
                if length is not None and length != str(size):
                    raise NotPulled(f"{path.name} ended after {size:,} of {length} bytes")
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def _condition(headers: Message) -> dict[str, str]:
    """The headers that ask for a file only if it changed."""
    if headers.get("etag"):
        return {"if-none-match": headers["etag"]}
    return {"if-modified-since": headers["last-modified"]} if headers.get("last-modified") else {}
