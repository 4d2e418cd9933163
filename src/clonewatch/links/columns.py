"""SELECTs that turn a staged column into tokens. Column names are ours, never a user's."""


def of_exchanges(expression: str) -> str:
    """Tokens carried by exchanges of more than one account: every entity, token, number of exchanges and first row."""
    # Most values belong to one account alone: leaving those out first spares counting every pair.
    return (
        f"WITH used AS (SELECT {expression} AS token FROM exchanges x WHERE {expression} IS NOT NULL"
        f" GROUP BY {expression} HAVING MIN(x.account) <> MAX(x.account))"
        ' SELECT o.entity, u.token, COUNT(*) AS n, MIN(x."row") AS first FROM exchanges x'
        f" JOIN used u ON u.token = {expression} JOIN owners o ON o.account = x.account GROUP BY o.entity, u.token"
    )


def of_accounts(expression: str) -> str:
    """Tokens among account facts: every entity, token and first account, with no exchanges of their own."""
    return (
        f"SELECT o.entity, {expression} AS token, 0 AS n, MIN(a.account) AS first FROM accounts a"
        " JOIN owners o ON o.account = a.account"
        f" WHERE {expression} IS NOT NULL GROUP BY o.entity, {expression}"
    )
