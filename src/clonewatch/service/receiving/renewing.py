"""What a running service reads again when its files change: the keys of its senders, and its certificate.

A file that is half written, wrong, or does not belong to the other changes nothing: what was there stays in use.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from clonewatch.live.api_keys import ApiKey
from clonewatch.live.settings import Settings
from clonewatch.model.errors import ClonewatchError, SetupError

PERIOD = 1.0  # seconds between two looks
_State = tuple[int, int, int] | None

log = logging.getLogger("clonewatch.serving")


class Reread(NamedTuple):
    """The file of the settings, and how it is read again. settings: raises SetupError."""

    file: Path
    settings: Callable[[], Settings]


class Certificate:
    """A certificate for TLS and its private key, both PEM. Raises SetupError."""

    def __init__(self, settings: Settings) -> None:
        held = settings.listen
        self._files = Path(held.certificate), Path(held.private_key)
        self._seen = tuple(map(_state, self._files))
        try:
            self._context, self.pair = self._read()
        except OSError as error:
            fix = "Name a certificate and its private key, both PEM and readable, in [listen]"
            raise SetupError(f"TLS cannot be served: {error}", where=held.certificate, fix=fix) from error

    def look(self) -> bool:
        """Read the files again if they changed; whether a new certificate is in use."""
        seen = tuple(map(_state, self._files))
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._context, self.pair = self._read()
        except OSError as error:
            log.error("the new certificate is not used", extra={"why": str(error)})
            return False
        log.info("the certificate was read again")
        return True

    def choose(self, line: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Give the newest certificate to a connection that begins: what `SSLContext.sni_callback` takes."""
        line.context = self._context

    def serve(self) -> ssl.SSLContext:
        """A context for a server, which has the newest certificate for each connection."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.sni_callback = self.choose
        return made

    def _read(self) -> tuple[ssl.SSLContext, tuple[bytes, bytes]]:
        """A context, and the bytes of key and certificate, which gRPC takes."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._files)
        return context, (self._files[1].read_bytes(), self._files[0].read_bytes())


class Renewal:
    """Looks for changes. admit: called with the keys of the settings when they were read again."""

    def __init__(
        self,
        reread: Reread | None,
        certificate: Certificate | None,
        admit: Callable[[Mapping[str, ApiKey]], None],
    ) -> None:
        self._reread, self._certificate, self._admit = reread, certificate, admit
        self._seen = _state(reread.file) if reread else None

    def look(self) -> None:
        """Look once."""
        if self._certificate is not None:
            self._certificate.look()
        if self._reread is None or (seen := _state(self._reread.file)) == self._seen:
            return
        self._seen = seen
        try:
            keys = self._reread.settings().keys
        except ClonewatchError as error:
            log.error("the keys stay as they are: the settings cannot be read", extra={"why": str(error)})
            return
        if not keys:
            log.error("the keys stay as they are: the settings name none")
            return
        self._admit(keys)
        log.info("the keys were read again", extra={"keys": len(keys)})

    async def run(self) -> None:
        """Look every second, until it is cancelled."""
        while True:
            await asyncio.sleep(PERIOD)
            self.look()


def _state(path: Path) -> _State:
    """What tells one file at a path from the next; None for no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
