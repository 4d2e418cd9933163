"""One API key seen under several accounts with no declared common owner."""

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "key_sharing",
        "link",
        Card(
            title="Shared API key",
            family="session",
            catches="one back end that mixes up its keys",
            misses="one key per account",
            innocent="a key kept when its account was replaced",
            excluded_by="declared organisations count as one entity",
        ),
        needs=(("exchanges.api_key_id",),),
        suggests=(("one_customer", 1.0),),
    ),
    of_exchanges("x.key"),
    reads=("exchanges", "owners"),
    exclusive=True,
    deceptive=True,
    column="key",
)
