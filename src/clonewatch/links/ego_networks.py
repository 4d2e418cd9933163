"""Ego networks: pairs of entities turned into attributes.

The ego network of an entity is the entity with everybody it is paired with. Signals that compare entities pairwise
(shared rare prompts, synchrony, signature replay) would otherwise write one edge per pair. As ego networks, they are
weighed like every other attribute: by how few of the entities in them are trusted.
"""

# An ego network with fewer entities is a couple or a household.
_SMALLEST = 5


def ego_networks(pairs: str) -> str:
    """SELECT entity, attribute, n (0) over the ego networks of a table of pairs (a, b). attribute: the ego's number."""
    both = f"SELECT a AS attribute, b AS entity FROM {pairs} UNION SELECT b, a FROM {pairs}"
    return (
        f"WITH around AS ({both}),"
        f" large AS (SELECT attribute FROM around GROUP BY attribute HAVING COUNT(*) >= {_SMALLEST - 1})"
        " SELECT entity, CAST(r.attribute AS BIGINT) AS attribute, 0 AS n FROM around r JOIN large l ON"
        " l.attribute = r.attribute"
        " UNION SELECT CAST(attribute AS INTEGER) AS entity, CAST(attribute AS BIGINT) AS attribute, 0 AS n FROM large"
    )
