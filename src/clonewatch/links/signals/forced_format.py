"""One forced output format used by several accounts with no declared common owner."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "forced_format",
        "link",
        Card(
            title="Forced output format",
            family="content",
            catches="answers forced into the format of training records",
            misses="free-form answers",
            innocent="an app with structured output, a tool parser",
            excluded_by="trusted accounts force the same format",
        ),
        needs=(("exchanges.format_hash",), ("exchanges.messages",)),
        suggests=(("app_users", 0.7),),
    ),
    of_exchanges("x.format"),
    reads=("exchanges", "owners"),
    cap=log2(10_000),
    column="format",
    content=True,
    app=True,
)
