"""SELECTs that turn a staged column into attributes. Column names come from the schema, never from a user."""


def of_exchanges(expression: str) -> str:
    """SELECT entity, attribute, n (exchanges), first (row): values that exchanges of two or more accounts carry."""
    # Most values belong to a single account: dropping those first avoids counting every pair.
    return (
        f"WITH used AS (SELECT {expression} AS attribute FROM exchanges x WHERE {expression} IS NOT NULL"
        f" GROUP BY {expression} HAVING MIN(x.account) <> MAX(x.account))"
        ' SELECT o.entity, u.attribute, COUNT(*) AS n, MIN(x."row") AS first FROM exchanges x'
        f" JOIN used u ON u.attribute = {expression} JOIN owners o ON o.account = x.account GROUP BY"
        " o.entity, u.attribute"
    )


def of_accounts(expression: str) -> str:
    """SELECT entity, attribute, n (0), first (account): values of an account fact, which no exchange carries."""
    return (
        f"SELECT o.entity, {expression} AS attribute, 0 AS n, MIN(a.account) AS first FROM accounts a"
        " JOIN owners o ON o.account = a.account"
        f" WHERE {expression} IS NOT NULL GROUP BY o.entity, {expression}"
    )
