"""Work that is dealt out is never done twice: questions close in topic, yet never the same question."""

from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "work_partition",
        "behaviour",
        Card(
            title="Work divided without overlap",
            family="work_partition",
            catches="one deduplicated list dealt out to many accounts",
            misses="several rollouts of every prompt",
            innocent="a labelling job of one customer",
            excluded_by="declared organisations count as one entity; a labelling job keeps to few topics",
        ),
        needs=(("exchanges.prompt_id",), ("exchanges.messages",)),
        denied_suggests=(("class_or_event", 0.5),),
    ),
    steps=(
        Query(
            "behaviour_work_partition",
            ("slice_cell_pairs", "slice_prompt_pairs", "background_pairs"),
            """
            SELECT c.cluster, LN((c.pairs * q.same_prompt / q.same_cell / 2 + 1) / (p.pairs / 2 + 1)) AS value,
              SQRT(1 / (c.pairs * q.same_prompt / q.same_cell / 2 + 1) + 1 / (p.pairs / 2 + 1)) AS error,
              CAST(FLOOR(GREATEST(c.pairs * q.same_prompt / q.same_cell, p.pairs) / 2 + 0.5) AS BIGINT) AS n
            FROM slice_cell_pairs c JOIN slice_prompt_pairs p ON p.cluster = c.cluster CROSS JOIN background_pairs q
            WHERE q.same_cell > 0 AND q.same_prompt > 0
            """,
            {},
        ),
    ),
    usual=0.0,
    spread=0.5,
    effect=1.5,
    says="Different accounts asked the same question {ratio:.0f} times more rarely than unrelated accounts"
    " that ask about the same topics ({n:,} pairs).",
    denies="Different accounts asked the same question {inverse:.1f} times more often than unrelated accounts that ask"
    " about the same topics ({n:,} pairs).",
    against=-1.5,
    least=20,
    deceptive=True,
    # Entrants of a contest never ask the same question either, but a dealt-out list comes in about equal shares.
    deceptive_with="load",
    # A firm deals out one list to its annotators, who may have an account each.
    one_customer=True,
    extraction=True,
    # Several rollouts of every prompt: whoever shares rare prompts asks the same question more often than others do.
    explained_by="rare_prompt",
    # Without topics, it is unknown whether unrelated accounts would have asked the same question.
    against_needs_topics=True,
)
