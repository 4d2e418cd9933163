"""One set of tool schemas used by several accounts with no declared common owner."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "tools",
        "link",
        Card(
            title="Shared tool schemas",
            family="software",
            catches="one private tool set",
            misses="no tools, or the tools of a popular framework",
            innocent="a framework that ships its tools to everyone",
            excluded_by="trusted accounts use the same tools",
        ),
        needs=(("exchanges.tools_hash",), ("exchanges.messages",)),
        suggests=(("app_users", 1.0),),
    ),
    of_exchanges("x.tools"),
    reads=("exchanges", "owners"),
    cap=log2(10_000),
    column="tools",
    content=True,
    app=True,
)
