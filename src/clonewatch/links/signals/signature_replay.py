"""Reasoning signatures issued to one entity and redeemed by another."""

from clonewatch.links.ego_networks import ego_networks
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "signature_replay",
        "link",
        Card(
            title="Reasoning signature redeemed elsewhere",
            family="session",
            catches="reasoning issued in one account's session and replayed from another",
            misses="signatures bound to their session",
            innocent="a session that its owner moved to a new account",
            excluded_by="a single move forms no ego network of five entities",
        ),
        needs=(("exchanges.signature_session_id", "exchanges.session_id"),),
    ),
    ego_networks("replays"),
    hashed=False,
    reads=("replays",),
    exclusive=True,
    deceptive=True,
    steps=(
        Query(
            "redeemed",
            ("exchanges", "owners"),
            "SELECT DISTINCT x.signature_session AS session, o.entity FROM exchanges x JOIN owners o"
            " ON o.account = x.account WHERE x.signature_session IS NOT NULL",
        ),
        Query(
            "replays",
            ("redeemed", "exchanges", "owners"),
            "SELECT DISTINCT LEAST(o.entity, r.entity) AS a, GREATEST(o.entity, r.entity) AS b FROM exchanges x"
            " JOIN redeemed r ON r.session = x.session JOIN owners o ON o.account = x.account AND o.entity <> r.entity",
        ),
    ),
)
