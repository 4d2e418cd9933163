"""Phone numbers in one range."""

from math import log2

from clonewatch.links.columns import of_accounts
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "phone",
        "link",
        Card(
            title="Phone number range",
            family="identity",
            catches="numbers rented in a block",
            misses="numbers bought one at a time",
            innocent="one carrier in one town",
            excluded_by="trusted accounts have numbers in the same range",
        ),
        needs=(("accounts.phone_prefix",),),
        suggests=(("wrongly_banned", 0.3), ("public_network", 1.0), ("colleagues", 0.2)),
    ),
    of_accounts("a.phone"),
    reads=("accounts", "owners"),
    weak=True,
    cap=log2(100),
)
