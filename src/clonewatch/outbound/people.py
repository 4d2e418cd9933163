"""Messages to people by chat or mail, through apprise: Slack, Microsoft Teams, mail."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from typing import Any

from clonewatch.model.errors import SetupError
from clonewatch.outbound.addresses import is_public, looked_up
from clonewatch.outbound.posting import Outcome

# Of the many services that apprise knows, those that were tried here.
SERVICES = ("slack", "workflows", "msteams", "mailto", "mailtos")
_HAS_HOST = ("workflows", "mailto", "mailtos")


def addressed(address: str, name: str, allowed: Collection[str]) -> Any:
    """The receiver of an address as apprise spells it. Raises SetupError; shows nothing of it."""
    if find_spec("apprise") is None:
        raise SetupError(f"target {name} needs apprise", fix="Install the extra: pip install 'clonewatch[out]'")
    import apprise

    service = address.partition("://")[0].lower()
    if service not in SERVICES:
        raise SetupError(f"target {name}: this is no service that is told", fix=f"Use one of: {', '.join(SERVICES)}")
    with _quiet():
        asset = apprise.AppriseAsset(app_id="Clonewatch", app_desc="Clonewatch", http_redirects=False)
        found = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if found is None:
        raise SetupError(f"target {name}: this is no address of {service}", fix="See apprise's page on that service")
    inside = _host(found) in allowed
    if not inside and (not found.verify_certificate or found.redirects or service == "mailto"):
        raise SetupError(
            f"target {name}: its address gives up TLS, its check, or follows redirects",
            fix="Use mailtos://, and leave out verify=no and redirect=yes; or name the host under allow",
        )
    return found


def tell(receiver: Any, allowed: Collection[str], title: str, text: str) -> Outcome:
    """Send a message to people."""
    host = _host(receiver)
    try:
        inside = [one for one in looked_up(host) if not is_public(one)] if host and host not in allowed else []
    except OSError as error:
        return Outcome(f"no connection: {error.strerror or type(error).__name__}")
    if inside:
        return Outcome(
            f"{host} is at {inside[0]}, which is not on the internet; name it under allow if it may be called"
        )
    with _quiet():
        delivered = receiver.notify(body=text, title=title)
    return Outcome() if delivered else Outcome("the service did not take it")


def _host(receiver: Any) -> str:
    """The host of a service that is not always at the same one."""
    if receiver.schema not in _HAS_HOST:
        return ""
    return str(getattr(receiver, "smtp_host", "") or receiver.host)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep apprise from logging, as what it logs can hold parts of addresses, and from warning of its imports."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.disabled = before
