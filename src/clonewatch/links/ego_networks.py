"""Pairs of parties turned into tokens: the ego network of a party is everybody it is paired with, itself included.

Signals that compare parties two by two (shared rare prompts, synchrony, replay) would otherwise write one edge a pair.
As ego networks they are weighed like every other token: by how few trusted parties stand in them.
"""

# An ego network of fewer parties is a couple or a household.
_SMALLEST = 5


def ego_networks(pairs: str) -> str:
    """SELECT entity, token, n over the ego networks of a table of pairs (a, b); token is the number of the centre."""
    both = f"SELECT a AS token, b AS entity FROM {pairs} UNION SELECT b, a FROM {pairs}"
    return (
        f"WITH around AS ({both}),"
        f" large AS (SELECT token FROM around GROUP BY token HAVING COUNT(*) >= {_SMALLEST - 1})"
        " SELECT entity, CAST(r.token AS BIGINT) AS token, 0 AS n FROM around r JOIN large l ON l.token = r.token"
        " UNION SELECT CAST(token AS INTEGER) AS entity, CAST(token AS BIGINT) AS token, 0 AS n FROM large"
    )
