"""One payment instrument behind several accounts with no declared common owner."""

from clonewatch.links.columns import of_accounts
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "payment",
        "link",
        Card(
            title="Shared payment instrument",
            family="identity",
            catches="accounts paid with one instrument",
            misses="one card per account, prepaid or marketplace billing",
            innocent="a family, an agency paying for clients, cards issued per team",
            excluded_by="declared organisations count as one entity; trusted accounts share instruments too",
        ),
        needs=(("accounts.payment_fingerprint",),),
        suggests=(("one_customer", 1.0),),
    ),
    of_accounts("a.payment"),
    reads=("accounts", "owners"),
    exclusive=True,
    deceptive=True,
    payer=True,
)
