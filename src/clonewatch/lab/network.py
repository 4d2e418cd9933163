"""Where requests come from: addresses, their operators and client builds. All of it is generated.

Addresses are random numbers in ordinary IPv4 space and AS numbers are from the private range; they identify nobody.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clonewatch.lab.ids import mix, spelled
from clonewatch.lab.rows import DAY, Codes, Ints, Reals
from clonewatch.lab.vocabulary import COUNTRIES, EDUCATION, EGRESS, HOSTING, MOBILE, RESIDENTIAL, VPN

_OCTETS = np.array([o for o in range(1, 224) if o not in (10, 100, 127, 169, 172, 192, 198, 203)], dtype=np.int64)
_FIRST_ASN, _ASNS = 64_512, 1_023  # the private range of RFC 6996
_OPERATORS = {RESIDENTIAL: 6, MOBILE: 3, EDUCATION: 8, HOSTING: 4, VPN: 2}  # networks of a kind in one country


class Pool(NamedTuple):
    """A range of addresses in the address book."""

    start: int
    size: int


class Network:
    """The address book: every address that a request may come from, in pools."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._ip: list[Ints] = []
        self._asn: list[Ints] = []
        self._country: list[Ints] = []
        self._kind: list[Ints] = []
        self.size = 0
        self._blocks: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._taken_blocks = 0

    def pool(self, size: int, kind: int, country: int, *, operators: int = 1, together: bool = False) -> Pool:
        """New addresses of one kind in one country.

        operators: the number of networks. together: adjacent in one /24 rather than scattered.
        """
        rng, start = self.rng, self.size
        blocks = self._networks(kind, country)
        chosen = blocks[rng.integers(len(blocks), size=max(1, operators))]
        which = rng.integers(len(chosen), size=size)
        base, asn = chosen[which, 0], chosen[which, 1]
        if together:
            near = rng.integers(0, 1024, size=len(chosen))[which] * 256
            ip = base + near + np.arange(size) % 254 + 1
        else:
            ip = base + rng.integers(0, 1024, size=size) * 256 + rng.integers(1, 255, size=size)
        self._ip.append(ip)
        self._asn.append(asn)
        self._country.append(np.full(size, country))
        self._kind.append(np.full(size, kind))
        self.size += size
        return Pool(start, size)

    def homes(self, countries: Codes, each: int) -> Ints:
        """`each` residential addresses per person, given their countries. Returns the start of each person's range."""
        starts = np.empty(len(countries), dtype=np.int64)
        for country in np.unique(countries):
            who = np.flatnonzero(countries == country)
            pool = self.pool(len(who) * each, RESIDENTIAL, int(country), operators=12)
            starts[who] = pool.start + np.arange(len(who)) * each
        return starts

    def address(self, index: int) -> str:
        """One address as text."""
        return str(self.table().column("client_ip")[index].as_py())

    def table(self) -> pa.Table:
        """The address book as a table: client_ip, asn, country, egress."""
        if not self._ip:
            self.pool(1, RESIDENTIAL, 0)
        ip, asn = np.concatenate(self._ip), np.concatenate(self._asn)
        octets = [(ip >> shift & 255).tolist() for shift in (24, 16, 8, 0)]
        names = [f"{a}.{b}.{c}.{d}" for a, b, c, d in zip(*octets, strict=True)]
        countries = pa.array([c.code for c in COUNTRIES]).take(pa.array(np.concatenate(self._country)))
        kinds = pa.array(EGRESS).take(pa.array(np.concatenate(self._kind)))
        return pa.table({"client_ip": names, "asn": asn.astype(np.int32), "country": countries, "egress": kinds})

    def _networks(self, kind: int, country: int) -> NDArray[np.int64]:
        """The operators of a kind in a country: rows of (first address of a /14, AS number)."""
        key = (kind, country)
        if key not in self._blocks:
            count = _OPERATORS.get(kind, 5)
            serial = self._taken_blocks + np.arange(count)
            self._taken_blocks += count
            base = (_OCTETS[serial % len(_OCTETS)] << 24) + ((serial // len(_OCTETS) * 4 % 256) << 16)
            self._blocks[key] = np.stack([base, _FIRST_ASN + serial % _ASNS], axis=1).astype(np.int64)
        return self._blocks[key]


class Routes(NamedTuple):
    """How each account reaches the service: up to four pools, each with a weight and a lease.

    start, size: (accounts, routes). weight: (accounts, routes), cumulated to 1. lease_days: days for which an account
    keeps one address of a pool, 0 if it changes with every session, negative if it changes with every request.
    """

    start: Ints
    size: Ints
    weight: Reals
    lease_days: tuple[int, ...]

    def choose(self, who: Codes, session: NDArray[np.uint64], ts: Ints) -> Codes:
        """The address of every request. who: row of `start`."""
        spin = (mix(session, 11) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        route = np.zeros(len(who), dtype=np.int64)
        for later in range(1, self.weight.shape[1]):
            route += spin > self.weight[who, later - 1]
        route = np.minimum(route, self.weight.shape[1] - 1)
        size = np.maximum(self.size[who, route], 1)
        lease = np.array(self.lease_days)[route]
        kept = mix(who.astype(np.int64) * 1_000_003 + ts // (np.maximum(lease, 1) * DAY), 12)
        seed = np.where(lease > 0, kept, mix(session, 13))
        seed = np.where(lease < 0, mix(ts.astype(np.uint64) ^ session, 14), seed)
        found: Codes = (self.start[who, route] + (seed % size.astype(np.uint64)).astype(np.int64)).astype(np.int32)
        return found


def routes(weights: Reals, pools: list[tuple[Ints, Ints, int]]) -> Routes:
    """Routes from weights (accounts, routes) and, for each route, starts, sizes and lease in days."""
    share = np.cumsum(weights, axis=1)
    share = share / share[:, -1:]
    return Routes(
        np.stack([p[0] for p in pools], axis=1).astype(np.int64),
        np.stack([p[1] for p in pools], axis=1).astype(np.int64),
        share,
        tuple(p[2] for p in pools),
    )


def shared(pool: Pool, count: int, lease_days: int) -> Routes:
    """Routes with every account behind one pool."""
    return routes(np.ones((count, 1)), [(np.full(count, pool.start), np.full(count, pool.size), lease_days)])


class Builds:
    """The table of client builds: user agent, TLS fingerprint, SDK; families have versions, people upgrade."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.agents: list[str] = []
        self.tls: list[str | None] = []
        self.sdks: list[str | None] = []

    def family(self, name: str, count: int, *, sdk: bool = True, platforms: int = 3) -> Pool:
        """`count` builds of one product: versions in order of release, over a few platforms (one JA4 each)."""
        start = len(self.agents)
        stacks = [self._ja4() for _ in range(platforms)]
        for i in range(count):
            version = f"{1 + i // 40}.{i // 4 % 10}.{i % 4}"
            self.agents.append(f"{name}/{version}")
            self.tls.append(stacks[int(self.rng.integers(platforms))])
            self.sdks.append(f"{name} {version}" if sdk else None)
        return Pool(start, count)

    def table(self) -> pa.Table:
        """The table: user_agent, tls_fingerprint, sdk."""
        kinds = pa.schema([("user_agent", pa.string()), ("tls_fingerprint", pa.string()), ("sdk", pa.string())])
        return pa.table({"user_agent": self.agents, "tls_fingerprint": self.tls, "sdk": self.sdks}, schema=kinds)

    def _ja4(self) -> str:
        parts = spelled(self.rng.integers(1, 2**63, size=2).astype(np.uint64)).to_pylist()
        return f"t13d{int(self.rng.integers(12, 19))}{int(self.rng.integers(10, 16))}h2_{parts[0][4:]}_{parts[1][4:]}"
