"""The client's address out of what a gateway logs: with a port, in brackets, or as a list of hops.

Every proxy on the way appends the address that it saw, and the client may write anything before that. So the client is
the last address that is not one of the provider's own: private, or of a network that the field map names. Where
the number of own proxies is known, the map may say that instead.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from clonewatch.ports.mapping import Hops, Network

# Networks from which no client reaches a public API: written out, as Python's `is_private` also covers the ranges
# for documentation, which samples use.
_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(net)
    for net in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
_PLAIN = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}:[0-9a-f:]{1,36}")
_V4_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
_MASKED = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3})\.(?:\*{1,3}|x{1,3})")
_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]{2,45})(?:%[^\]]{0,32})?\](?::\d{1,5})?")
_FOR = re.compile(r"(?:^|;)\s*for\s*=\s*\"?([^\";]{1,80})", re.IGNORECASE)
# How Java, Go and gRPC write whom a connection comes from, and databases one address.
_BEFORE = re.compile(r"(?:(?:tcp|udp)[46]?:/?/|https?://|tcp/|ipv[46]:|/)(?=[\[0-9A-Fa-f:])")
_NO_ADDRESS = frozenset(
    ("", "-", "@", "unix:", "unknown", "none", "null", "0.0.0.0", "::", "0:0:0:0:0:0:0:0")  # noqa: S104
)
_BETWEEN = re.compile(r"[,;\s]+")
_HOST = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})/32|([0-9A-Fa-f:.]{2,45})/128")
# How Python does: address and port, and for IPv6 two more numbers.
_TUPLE = re.compile(r"\(\s*['\"]([^'\"]{2,60})['\"]\s*,\s*\d{1,5}(?:\s*,\s*\d{1,10}){0,2}\s*\)")
# Longer lists are an attack on the reader: only the end, which own proxies wrote, is examined.
_MOST_LIST = 1024


@lru_cache(maxsize=65536)
def client_address(logged: str, hops: Hops = Hops()) -> str | None:  # noqa: B008 - immutable
    """The client's address; text that holds no address stays as it is, None for an unknown one.

    >>> client_address("203.0.113.7:50000"), client_address("[2001:DB8::1]:443"), client_address("unknown")
    ('203.0.113.7', '2001:db8::1', None)
    >>> client_address("198.51.100.9, 203.0.113.7, 10.0.0.1")
    '203.0.113.7'
    >>> client_address("198.51.100.9, 203.0.113.7, 192.0.2.1", Hops(trusted=2))
    '198.51.100.9'
    >>> client_address('for="[2001:db8::1]:47011";proto=https, for=10.0.0.1'), client_address("a keyed hash")
    ('2001:db8::1', 'a keyed hash')
    >>> client_address("203.0.113.***")  # its network is known
    '203.0.113.0'
    """
    text = logged.strip()
    if text.lower() in _NO_ADDRESS:
        return None
    if _PLAIN.fullmatch(text):
        return text
    if pair := _TUPLE.fullmatch(text):
        text = pair[1]
    end = text[-_MOST_LIST:]
    parts = [_one(part) for part in (end.split(",") if "=" in end else _BETWEEN.split(end))]
    found = [address for address in parts if address is not None]
    if not found:
        return logged  # an opaque hash
    found = [address for address in found if not address.is_unspecified]
    if not found:
        return None
    if hops.trusted is not None:
        return str(found[max(len(found) - 1 - hops.trusted, 0)])
    outside = [a for a in found if not any(a.version == n.version and a in n for n in (*_PRIVATE, *hops.proxies))]
    # A list of own addresses only comes from inside: its first is the client.
    return str(outside[-1] if outside else found[0])


def _one(part: str) -> IPv4Address | IPv6Address | None:
    """One hop: an address with or without a port, also as the header `Forwarded` writes it."""
    named = _FOR.search(part)
    text = (named[1] if named else part).strip().strip('"')
    if "%5" in text:  # gRPC writes brackets so
        text = text.replace("%5B", "[").replace("%5D", "]")
    if before := _BEFORE.match(text):
        text = text[before.end() :].rstrip("/")
    if host := _HOST.fullmatch(text):
        text = host[1] or host[2]
    inside = _V4_PORT.fullmatch(text) or _BRACKETS.fullmatch(text)
    masked = _MASKED.fullmatch(text)
    plain = f"{masked[1]}.0" if masked else inside[1] if inside else text
    try:
        address = ip_address(plain.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def network(text: str) -> Network | None:
    """A network as a field map writes it, None if it is none.

    >>> str(network("203.0.113.0/24")), network("203.0.113.7/99")
    ('203.0.113.0/24', None)
    """
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
