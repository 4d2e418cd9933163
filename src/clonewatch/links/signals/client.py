"""One client build: TLS fingerprint, user agent and SDK together."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "client",
        "link",
        Card(
            title="Client build",
            family="software",
            catches="one private client or harness build",
            misses="stock clients",
            innocent="one popular SDK or coding tool",
            excluded_by="trusted accounts use the same build",
        ),
        needs=(("exchanges.tls_fingerprint",), ("exchanges.user_agent",), ("exchanges.sdk",)),
        suggests=(("app_users", 0.7),),
    ),
    of_exchanges("x.client"),
    reads=("exchanges", "owners"),
    cap=log2(10_000),
    column="client",
    app=True,
)
