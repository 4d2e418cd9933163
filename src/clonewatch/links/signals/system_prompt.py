"""One system prompt used by several accounts with no declared common owner."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "system_prompt",
        "link",
        Card(
            title="Shared system prompt",
            family="software",
            catches="one private harness",
            misses="a different prompt per account",
            innocent="an app or coding tool that ships its prompt to everyone",
            excluded_by="trusted accounts use the same prompt",
        ),
        needs=(("exchanges.system_hash",), ("exchanges.system_text",), ("exchanges.messages",)),
        suggests=(("class_or_event", 0.3), ("app_users", 0.7)),
    ),
    of_exchanges("x.system"),
    reads=("exchanges", "owners"),
    cap=log2(1_000_000),
    column="system",
    content=True,
    app=True,
)
