"""One conversation continued under several accounts with no declared common owner."""

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "session_sharing",
        "link",
        Card(
            title="Conversation continued from another account",
            family="session",
            catches="one back end that spreads turns over accounts",
            misses="one account per conversation",
            innocent="a session that its owner moved to a new account",
            excluded_by="a single move forms no group",
        ),
        needs=(("exchanges.session_id",),),
        suggests=(("one_customer", 1.0),),
    ),
    of_exchanges("x.session"),
    reads=("exchanges", "owners"),
    exclusive=True,
    deceptive=True,
    column="session",
)
