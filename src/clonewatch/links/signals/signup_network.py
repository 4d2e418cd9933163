"""Accounts that signed up from one network."""

from math import log2

from clonewatch.links.columns import of_accounts
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "signup_network",
        "link",
        Card(
            title="Sign-up network",
            family="network",
            catches="accounts created behind one exit",
            misses="one exit per account",
            innocent="a campus, an office, a mobile carrier",
            excluded_by="trusted accounts signed up there too",
        ),
        needs=(("accounts.signup_ip",),),
        suggests=(("one_customer", 0.3), ("class_or_event", 0.3), ("public_network", 0.6), ("colleagues", 0.3)),
    ),
    of_accounts("a.signup_network"),
    reads=("accounts", "owners"),
    cap=log2(10_000),
    route=True,
)
