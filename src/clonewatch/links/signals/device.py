"""One device that signed up several accounts with no declared common owner."""

from clonewatch.links.columns import of_accounts
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "device",
        "link",
        Card(
            title="Shared sign-up device",
            family="identity",
            catches="accounts created on one device or device build",
            misses="a fresh device per account",
            innocent="a family computer, a library, a classroom",
            excluded_by="trusted accounts and small households share devices too",
        ),
        needs=(("accounts.device_fingerprint",),),
        suggests=(("one_customer", 0.5), ("wrongly_banned", 0.3), ("colleagues", 0.3)),
    ),
    of_accounts("a.device"),
    reads=("accounts", "owners"),
    exclusive=True,
    deceptive=True,
)
