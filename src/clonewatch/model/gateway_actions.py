"""The actions of a gateway, as policies name them; `clonewatch_gateway` carries them out. The mildest comes first."""

from __future__ import annotations

from typing import NamedTuple


class GatewayAction(NamedTuple):
    """An action. persons: how many approve it. bound: names of its limits.

    measure: the measure of a containment under which it may be enforced; empty for any.
    """

    name: str
    persons: int
    bound: tuple[str, ...]
    measure: str


ACTIONS = {
    one.name: one
    for one in (
        GatewayAction("observe", 0, (), ""),
        GatewayAction("notify", 1, (), ""),
        GatewayAction("verify", 1, (), "verify"),
        GatewayAction("budget", 1, ("tokens_per_minute",), "budget"),
        GatewayAction("drop_logprobs", 1, (), "reduce"),
        GatewayAction("shorten_reasoning", 1, ("reasoning_tokens",), "reduce"),
        GatewayAction("throttle_slice", 1, ("tokens_per_minute",), "budget"),
        GatewayAction("suspend", 2, (), "suspend"),
    )
}
RANK = {name: place for place, name in enumerate(ACTIONS)}
