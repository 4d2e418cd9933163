"""Sign-up addresses of one pattern at one domain."""

from math import log2

from clonewatch.links.columns import of_accounts
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "identity_pattern",
        "link",
        Card(
            title="Patterned e-mail address",
            family="identity",
            catches="addresses from one generator",
            misses="mixed mail providers and bought mailboxes",
            innocent="a company or school that issues addresses by rule",
            excluded_by="trusted accounts have addresses of the same domain and pattern",
        ),
        needs=(("accounts.email_pattern",), ("accounts.email_domain",)),
        suggests=(("class_or_event", 0.6), ("colleagues", 0.4)),
    ),
    of_accounts("a.pattern"),
    reads=("accounts", "owners"),
    weak=True,
    app=True,
    employer=True,
    cap=log2(1_000),
)
