"""One call of an account in an honest crowd."""

from __future__ import annotations

from evals.third_generator.world import DAY, OLD, Account, Address, Call, World


def add(
    world: World,
    account: Account,
    at: float,
    text: str,
    place: Address,
    *,
    system: str = "",
    session: str | None = None,
    turn: int = 0,
    client: str = "python-client/1.44",
    model: str = OLD,
    tools: int = 0,
    end_user: str | None = None,
    channel: str = "direct",
    n: int = 1,
) -> None:
    """One call of an account in a crowd."""
    if max(account.created, 0) <= at < world.days * DAY:
        session = session or world.code("s_")
        answer = world.answer() if not tools else max(20, world.answer() // 2)
        world.calls.append(
            Call(
                at,
                account.id,
                session,
                turn,
                system,
                text,
                model,
                place,
                client,
                answer,
                tools,
                None,
                end_user,
                channel,
                n,
            )
        )
