"""SELECTs that turn a staged column into attributes. Column names are ours, never a user's."""


def of_exchanges(expression: str) -> str:
    """Attributes carried by exchanges of more than one account.

    Every entity, attribute, number of exchanges and first row.
    """
    # Most values belong to one account alone: leaving those out first spares counting every pair.
    return (
        f"WITH used AS (SELECT {expression} AS attribute FROM exchanges x WHERE {expression} IS NOT NULL"
        f" GROUP BY {expression} HAVING MIN(x.account) <> MAX(x.account))"
        ' SELECT o.entity, u.attribute, COUNT(*) AS n, MIN(x."row") AS first FROM exchanges x'
        f" JOIN used u ON u.attribute = {expression} JOIN owners o ON o.account = x.account GROUP BY"
        " o.entity, u.attribute"
    )


def of_accounts(expression: str) -> str:
    """Attributes among account facts: every entity, attribute and first account, with no exchanges of their own."""
    return (
        f"SELECT o.entity, {expression} AS attribute, 0 AS n, MIN(a.account) AS first FROM accounts a"
        " JOIN owners o ON o.account = a.account"
        f" WHERE {expression} IS NOT NULL GROUP BY o.entity, {expression}"
    )
