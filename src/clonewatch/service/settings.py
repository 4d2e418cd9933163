"""How a console is set up: which store, at which address, and how people sign in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from clonewatch.adapters.reading import Log
from clonewatch.cases.people import ROLES
from clonewatch.model.errors import SetupError
from clonewatch.service.views.worth import Worths

PORT = 8642


class Provider(NamedTuple):
    """An identity provider (OpenID Connect). pairs: groups of its tokens and the roles that they give.

    issuer: its address, under which `.well-known/openid-configuration` is. groups: the claim that lists groups.
    """

    issuer: str
    client_id: str
    client_secret: str
    pairs: tuple[tuple[str, str], ...]
    groups: str = "groups"

    @property
    def roles(self) -> dict[str, str]:
        """Roles by group; of several groups the best role counts."""
        return dict(self.pairs)


class Limits(NamedTuple):
    """Requests a minute from one address: attempts to sign in, and everything; largest body, bytes.

    appeals, holders: what account holders send, and everything on their page, counted apart.
    """

    sign_ins: int = 10
    requests: int = 600
    appeals: int = 20
    holders: int = 120
    body: int = 256 * 1024


def now() -> str:
    """The time, UTC, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Settings(NamedTuple):
    """How a console is set up. url: where people open it. result: a result folder that its pages may show.

    log, prices, audits: of that result, for dossiers. worths: what its groups were worth, if the log was given.
    policies: files of policies. kept: results on which they are tried. watch_list: folder that gateways follow.
    spool: of the service that takes live traffic. canary: file with what the last `clonewatch-gateway canary` printed.
    """

    store: str
    log_key: Path | None = None
    url: str = f"http://127.0.0.1:{PORT}"
    result: Path | None = None
    provider: Provider | None = None
    limits: Limits = Limits()
    clock: Callable[[], str] = now
    worths: Worths | None = None
    log: Log | None = None
    prices: Path | None = None
    audits: tuple[Path, ...] = ()
    policies: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    watch_list: Path | None = None
    spool: Path | None = None
    canary: Path | None = None

    @property
    def secure(self) -> bool:
        """Whether browsers come over TLS."""
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """Host and port as browsers send them."""
        return urlsplit(self.url).netloc


def check(settings: Settings) -> None:
    """Raise SetupError for an address that would send passwords in the clear, or a provider that gives no role."""
    parts = _split(settings.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise SetupError(f"{settings.url!r} is no address of a console", fix="Write https://console.example")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SetupError(
            "passwords would cross the network in the clear",
            where=settings.url,
            fix="Put a proxy with TLS before the console and name its address: --url https://console.example",
        )
    if settings.provider:
        _check_provider(settings.provider)


def _split(address: str) -> SplitResult:
    """The parts of an address. Raises SetupError for one that has none, or characters that cannot be seen."""
    try:
        parts = urlsplit(address if address.isprintable() else "")
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname:
        raise SetupError(f"{address!r} is no address", fix="Write https://console.example")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_provider(provider: Provider) -> None:
    parts = _split(provider.issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise SetupError("the identity provider must be reached over TLS", where=provider.issuer)
    if not provider.roles:
        raise SetupError("no group of the identity provider has a role", fix="Pass --oidc-role GROUP=analyst")
    if unknown := sorted(set(provider.roles.values()) - set(ROLES)):
        raise SetupError(f"there is no role {unknown[0]!r}", fix=f"Use one of: {', '.join(ROLES)}")
