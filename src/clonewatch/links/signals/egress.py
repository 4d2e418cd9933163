"""Requests leaving through one network prefix."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "egress",
        "link",
        Card(
            title="Shared egress network",
            family="network",
            catches="a pool of exits behind many accounts",
            misses="a residential exit per account",
            innocent="a campus, an office, a carrier, a privacy relay, a commercial VPN",
            excluded_by="trusted accounts use the same network",
        ),
        needs=(("exchanges.client_ip",),),
        suggests=(("one_customer", 0.3), ("class_or_event", 0.3), ("public_network", 0.6), ("colleagues", 0.3)),
    ),
    of_exchanges("x.network"),
    reads=("exchanges", "owners"),
    cap=log2(1_000_000),
    route=True,
    column="network",
)
