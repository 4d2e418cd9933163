"""Accounts that start with a banned account's own prompts within two days of its ban."""

from math import log2

from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

_WITHIN = 48 * 3_600_000_000
_FEW_USERS = 2_000

SIGNAL = LinkingSignal(
    Signal(
        "succession",
        "link",
        Card(
            title="Started with a banned account's prompts",
            family="lifecycle",
            catches="a pool that continues under new accounts",
            misses="new templates after every ban",
            innocent="one customer opening a second account after a wrong ban",
            excluded_by="it only corroborates: entities that share nothing else are not linked",
        ),
        needs=(
            ("events.kind", "events.account_id", "exchanges.template_id"),
            ("events.kind", "events.account_id", "exchanges.messages"),
        ),
        suggests=(("wrongly_banned", 1.0),),
    ),
    "SELECT entity, CAST(banned AS BIGINT) AS attribute, 0 AS n FROM successors"
    " UNION SELECT banned AS entity, CAST(banned AS BIGINT) AS attribute, 0 AS n FROM successors",
    hashed=False,
    reads=("successors",),
    cap=log2(100),
    weak=True,
    successor=True,
    steps=(
        Query(
            "banned_templates",
            ("exchanges", "owners", "events"),
            "SELECT DISTINCT o.entity, e.ts, x.template FROM events e JOIN exchanges x ON x.account = e.account"
            " JOIN owners o ON o.account = x.account WHERE e.kind = 'ban' AND x.template IS NOT NULL",
        ),
        Query(
            "successors",
            ("banned_templates", "exchanges", "owners", "entities"),
            "WITH users AS (SELECT x.template, o.entity FROM exchanges x JOIN owners o ON o.account = x.account"
            " WHERE x.template IN (SELECT template FROM banned_templates) GROUP BY x.template, o.entity),"
            " few AS (SELECT template FROM users GROUP BY template HAVING COUNT(*) <= $few)"
            " SELECT DISTINCT b.entity AS banned, u.entity FROM banned_templates b"
            " JOIN few f ON f.template = b.template JOIN users u ON u.template = b.template"
            " JOIN entities e ON e.entity = u.entity"
            " WHERE u.entity <> b.entity AND e.first_ts > b.ts AND e.first_ts <= b.ts + $within",
            {"few": _FEW_USERS, "within": _WITHIN},
        ),
    ),
)
