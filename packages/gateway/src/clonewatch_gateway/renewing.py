"""What a running check reads again when it changes: its certificate, and the public keys that lists are signed with.

A pair that does not belong together, or a file that is half written, changes nothing: what was there stays in use, and
that is said once.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from clonewatch_gateway.following import Follower, state_of
from clonewatch_gateway.watch_list import trusted

PERIOD = 1.0
Said = Callable[[str, str], None]


class Certificate:
    """A certificate for TLS and its private key, both PEM. Raises OSError, which ssl.SSLError is one of."""

    def __init__(self, certificate: Path, private_key: Path, said: Said) -> None:
        self._files, self._said = (certificate, private_key), said
        self._seen = tuple(map(state_of, self._files))
        self._context, self.pair = self._read()

    def look(self) -> bool:
        """Read the files again if they changed; whether a new certificate is in use."""
        seen = tuple(map(state_of, self._files))
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._context, self.pair = self._read()
        except (OSError, ValueError) as error:
            self._said("certificate", f"the new certificate is not used, the one before is: {error}")
            return False
        self._said("certificate", f"the certificate was read again from {self._files[0]}")
        return True

    def choose(self, line: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Give the newest certificate to a connection that begins: what `SSLContext.sni_callback` takes."""
        line.context = self._context

    def _read(self) -> tuple[ssl.SSLContext, tuple[bytes, bytes]]:
        """A context, and the bytes of key and certificate, which gRPC takes."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._files)
        return context, (self._files[1].read_bytes(), self._files[0].read_bytes())


class Trusted:
    """The keys of a file, one a line (`ed25519:...`), which a follower is told. Raises OSError, ValueError."""

    def __init__(self, file: Path, more: tuple[bytes, ...], follower: Follower, said: Said) -> None:
        self._file, self._more, self._follower, self._said = file, more, follower, said
        self._seen = state_of(file)
        follower.trust(self._read())

    def look(self) -> bool:
        """Read the file again if it changed; whether other keys are trusted now."""
        seen = state_of(self._file)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            keys = self._read()
        except (OSError, ValueError) as error:
            self._said("trust", f"the keys that were trusted stay: {self._file}: {error}")
            return False
        self._follower.trust(keys)
        self._said("trust", f"{len(keys)} keys are trusted")
        return True

    def _read(self) -> tuple[bytes, ...]:
        lines = [line.strip() for line in self._file.read_text(encoding="ascii").splitlines()]
        keys = (*self._more, *trusted([line for line in lines if line and not line.startswith("#")]))
        if not keys:
            raise ValueError("it names no key")
        return keys
