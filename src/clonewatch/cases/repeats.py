"""Earlier measures of the same accounts, which make the next one longer."""

from __future__ import annotations

from msgspec import UNSET
from sqlalchemy import func, select

from clonewatch.cases.measures import ENDED, Containment
from clonewatch.cases.store import Reading, hashed
from clonewatch.cases.tables import HOLDERS

# What the log says of a plan, before the name of each earlier containment.
REPEAT = "repeat of "
_AT_ONCE = 5_000


def earlier(store: Reading, held: Containment) -> tuple[str, ...]:
    """The earlier containments that more than half of these accounts were under, and that ended for them.

    What was taken back for an account, by an appeal, a lapse or an innocent ruling, does not count against it.
    """
    hashes = [hashed(account) for account in store.accounts(held.accounts)]
    under: dict[str, int] = {}
    for i in range(0, len(hashes), _AT_ONCE):
        wanted = (
            select(HOLDERS.c.containment, func.count())
            .where(HOLDERS.c.account.in_(hashes[i : i + _AT_ONCE]), HOLDERS.c.state == ENDED)
            .group_by(HOLDERS.c.containment)
        )
        for name, count in store.connection.execute(wanted):
            under[name] = under.get(name, 0) + count
    under.pop(held.containment, None)
    return tuple(sorted(name for name, count in under.items() if 2 * count > len(hashes)))


def counted(store: Reading, held: Containment) -> tuple[str, ...]:
    """The earlier containments for which a plan was made longer, as the log has them."""
    for _, entry in store.history(held.case):
        same = entry.containment is not UNSET and entry.containment.containment == held.containment
        if entry.what == "plan" and same:
            return tuple(one.removeprefix(REPEAT) for one in entry.because if one.startswith(REPEAT))
    return ()
