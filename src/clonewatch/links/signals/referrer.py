"""Accounts that signed up through one referral."""

from math import log2

from clonewatch.links.columns import of_accounts
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "referrer",
        "link",
        Card(
            title="Shared referral",
            family="identity",
            catches="accounts that signed up with one code",
            misses="direct sign-ups",
            innocent="a course, a newsletter, a hackathon",
            excluded_by="trusted accounts have the same referral",
        ),
        needs=(("accounts.referrer",),),
        suggests=(("class_or_event", 1.0),),
    ),
    of_accounts("a.referrer"),
    reads=("accounts", "owners"),
    weak=True,
    cap=log2(100),
)
