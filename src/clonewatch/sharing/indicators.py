"""What may be told of a campaign: kinds of indicators, each with the one form its values have.

An indicator says how something looks, never whose it is. What has few possible values (an address, a card's issuer
number, a phone number) has no kind here: it is matched blind, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from types import MappingProxyType
from typing import NamedTuple

from clonewatch.model.errors import SetupError

# The narrowest network that can be told: a whole announced block, never one host.
MOST_V4, MOST_V6 = 24, 48
_DOMAIN = r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
_NUMBER = r"(?:0|[1-9]\d{0,8})(?:\.\d{1,4})?"


class Kind(NamedTuple):
    """A kind of indicator. form: what its values match as a whole. days: how long one holds at most, from its making.

    says: what it is, for people.
    """

    name: str
    form: re.Pattern[str]
    days: int
    says: str


def _kind(name: str, form: str, days: int, says: str) -> Kind:
    return Kind(name, re.compile(form), days, says)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            _kind("template_family", r"cwt1:[0-9a-f]{16}:[0-9a-f]{512}", 90, "keyed sketch of a family of templates"),
            _kind("forced_format", r"cwf1:[0-9a-f]{16}:[0-9a-f]{32}", 90, "keyed hash of a demanded output format"),
            _kind("tls", r"ja4:[a-z0-9]{10}_[0-9a-f]{12}_[0-9a-f]{12}|ja3:[0-9a-f]{32}", 60, "TLS client fingerprint"),
            _kind("http", r"ja4h:[a-z0-9]{12}(?:_[0-9a-f]{12}){3}|h2:[0-9a-f]{32}", 60, "HTTP client fingerprint"),
            _kind("network", r"AS[1-9]\d{0,9}|[0-9a-f:.]{2,39}/\d{1,3}", 14, "hosting or proxy network"),
            _kind("mail_domain", _DOMAIN, 90, "domain of disposable mail"),
            _kind("issuer_class", r"prepaid|virtual|gift|corporate|reloadable", 90, "class of the cards' issuer"),
            _kind("behaviour", rf"[a-z][a-z0-9_]{{2,59}}>={_NUMBER}", 180, "a behaviour and its threshold"),
            _kind(
                "timing", rf"[a-z][a-z0-9_]{{2,59}}:{_NUMBER}-{_NUMBER}", 180, "a step of the life of accounts, a range"
            ),
            _kind("attack", r"AML\.[TMAC]\d{4}(?:\.\d{3})?|CW-A\d{2}", 365, "class of the attack"),
        )
    }
)


def wrong(kind: str, value: str) -> str:
    """Why a value is none of its kind; empty where it is one.

    >>> wrong("network", "198.51.100.7/32")
    'a network of at most 24 bits can be told, and this has 32'
    >>> wrong("mail_domain", "mail.example")
    ''
    """
    known = KINDS.get(kind)
    if known is None:
        return f"there is no kind {kind!r}: {', '.join(KINDS)}"
    if not known.form.fullmatch(value):
        return f"this is no value of kind {kind}: {known.says}"
    if kind == "timing":
        low, high = value.split(":")[1].split("-")
        return "" if float(low) <= float(high) else "the range ends before it begins"
    return _network(value) if kind == "network" and not value.startswith("AS") else ""


def _network(value: str) -> str:
    try:
        network = ip_network(value)
    except ValueError as error:
        return f"this is no network: {error}"
    most = MOST_V4 if isinstance(network, IPv4Network) else MOST_V6
    if network.prefixlen > most:
        return f"a network of at most {most} bits can be told, and this has {network.prefixlen}"
    return "" if network.is_global else "this network is not on the public internet"


def checked(kind: str, value: str) -> str:
    """The value, if it is one of its kind. Raises SetupError."""
    if why := wrong(kind, value):
        raise SetupError(f"not an indicator: {why}", where=value[:80])
    return value
