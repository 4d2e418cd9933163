"""One safety identifier under several accounts with no declared common owner."""

from math import log2

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "end_user_sharing",
        "link",
        Card(
            title="Shared end-user identifier",
            family="software",
            catches="one back end that does not vary the identifier",
            misses="no identifier sent",
            innocent="a framework default such as the word user",
            excluded_by="trusted accounts send the same value",
        ),
        needs=(("exchanges.end_user_id",),),
        suggests=(("app_users", 1.0),),
    ),
    of_exchanges("x.end_user"),
    reads=("exchanges", "owners"),
    weak=True,
    cap=log2(100),
    column="end_user",
)
