"""Which addresses may be called: those of the internet, and others only for hosts that the settings name."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_NAT64 = ip_network("64:ff9b::/96")
# All that is given out for the internet. What lies outside may lead inside: site-local addresses, NAT64 of a network's
# own (64:ff9b:1::/48), and several ways to write an IPv4 address.
_UNICAST = ip_network("2000::/3")
_DOCUMENTATION = ip_network("3fff::/20")


class Refused(OSError):
    """An address that may not be called; an OSError, as any other reason why there is no connection."""


def dial(host: str, port: int, allowed: Collection[str], seconds: float, *, in_the_clear: bool) -> socket.socket:
    """A connection to a host, at an address that was looked up and checked once. Raises OSError.

    The connection goes to the address that was checked, so a name that means something else a moment later changes
    nothing. allowed: hosts that may be on this machine or in a private network. in_the_clear: without TLS, which
    only they may be.
    """
    until = time.monotonic() + seconds
    addresses = looked_up(host)
    if host not in allowed and (inside := [one for one in addresses if not is_public(one)]):
        raise Refused(
            f"{host} is at {inside[0]}, which is not on the internet; name it under allow if it may be called"
        )
    if in_the_clear and (outside := [one for one in addresses if is_public(one)]):
        raise Refused(f"{host} is at {outside[0]}, on the internet: write https")
    failed: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), max(0.001, until - time.monotonic()))
        except OSError as error:
            failed = error
    raise failed or OSError("the host has no address")


def looked_up(host: str) -> list[str]:
    """The addresses of a host. Raises OSError."""
    return [str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def is_public(text: str) -> bool:
    """Whether an address is on the internet, and so is the IPv4 address inside it, if there is one.

    >>> [is_public(a) for a in ("1.1.1.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False, False]
    """
    address = ip_address(text.partition("%")[0])
    given_out = isinstance(address, IPv4Address) or address in _NAT64 or address in _UNICAST
    if not given_out or address in _DOCUMENTATION:
        return False
    return all(one.is_global and not one.is_multicast for one in (address, *_inner(address)))


def _inner(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    held = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        held.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in held if one is not None]
