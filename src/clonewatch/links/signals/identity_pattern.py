"""Sign-up addresses of one shape at one domain."""

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
            catches="addresses minted by one generator",
            misses="mixed mail providers and bought mailboxes",
            innocent="a company or school that issues addresses by rule",
            excluded_by="trusted accounts at the same domain and shape",
        ),
        needs=(("accounts.email_pattern",), ("accounts.email_domain",)),
    ),
    of_accounts("a.pattern"),
    reads=("accounts", "owners"),
    weak=True,
    cap=log2(1_000),
)
