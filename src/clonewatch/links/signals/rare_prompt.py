"""Several rare prompts that the same entities sent: rollouts of one question spread over many accounts."""

from math import log2

from clonewatch.links.ego_networks import ego_networks
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

# Few users per prompt keep the pairs linear in the exchanges. Three distinct prompts are more than any honest pair
# shared in a week of a real service.
_FEW, _LEAST_PROMPTS = 8, 3

SIGNAL = LinkingSignal(
    Signal(
        "rare_prompt",
        "link",
        Card(
            title="Rare prompts in common",
            family="content",
            catches="rollouts: the same rare questions from the same few accounts",
            misses="lists without repeats",
            innocent="a benchmark, a class, friends who share prompts",
            excluded_by="trusted accounts share them too; everybody asks a benchmark's questions",
        ),
        needs=(("exchanges.prompt_id",), ("exchanges.messages",)),
        suggests=(("benchmark_or_monitor", 1.0),),
    ),
    ego_networks("rare_prompt_pairs"),
    hashed=False,
    reads=("rare_prompt_pairs",),
    cap=log2(10_000),
    steps=(
        Query(
            "rare_prompt_pairs",
            ("prompt_entities", "shared_prompts"),
            "WITH few AS (SELECT p.prompt, p.entity FROM prompt_entities p JOIN shared_prompts s ON s.prompt = p.prompt"
            " WHERE s.users <= $few)"
            " SELECT a.entity AS a, b.entity AS b FROM few a JOIN few b ON b.prompt = a.prompt AND a.entity < b.entity"
            " GROUP BY a.entity, b.entity HAVING COUNT(*) >= $least",
            {"few": _FEW, "least": _LEAST_PROMPTS},
        ),
    ),
)
