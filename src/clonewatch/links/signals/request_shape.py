"""One unusual combination of request parameters."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "request_shape",
        "link",
        Card(
            title="Request parameters",
            family="software",
            catches="one private harness with fixed parameters",
            misses="stock parameters",
            innocent="the defaults of an SDK or tool",
            excluded_by="trusted accounts send the same parameters",
        ),
        needs=(("exchanges.max_tokens",),),
        suggests=(("app_users", 0.7),),
    ),
    of_exchanges("x.shape"),
    reads=("exchanges", "owners"),
    weak=True,
    cap=log2(100),
    column="shape",
    app=True,
)
