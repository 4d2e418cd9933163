"""Accounts with no declared common owner in one chain of shared sessions and API keys."""

from clonewatch.links import chains
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "session_chain",
        "link",
        Card(
            title="Connected by sessions and keys",
            family="session",
            catches="back ends that mix up the sessions or keys of a few accounts at a time",
            misses="one account per conversation and key",
            innocent="sessions and keys that move from account to account as staff changes",
            excluded_by="declared organisations count as one entity; chains of honest accounts reach trusted ones",
        ),
        needs=(("exchanges.api_key_id",), ("exchanges.session_id",)),
        uses=("exchanges.api_key_id", "exchanges.session_id"),
        suggests=(("one_customer", 1.0),),
    ),
    "SELECT entity, attribute, 0 AS n FROM session_chain_links",
    reads=("session_chain_links",),
    exclusive=True,
    deceptive=True,
    hashed=False,
    steps=chains.steps("session_chain", ("key_sharing", "session_sharing")),
)
