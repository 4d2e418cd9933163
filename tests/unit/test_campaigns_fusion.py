"""Evidence fused: families are counted, evidence against is subtracted, and no deception is no flag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from clonewatch.campaigns.fusion import (
    FAMILY_BITS,
    LINE_BITS,
    LINK_BANS,
    Reading,
    Verdict,
    conformal,
    e_value,
    judge,
    linkage,
    read_channels,
    strength,
)
from clonewatch.graph.clusters import TIE_SCHEMA
from clonewatch.graph.communities import FIRST
from clonewatch.pipeline.detect import INTENTS, LINKS
from clonewatch.ports.intent import Intent

ALL_LINKS = {name: LINKS.load(name) for name in LINKS.names()}
REGULARITY: Intent = INTENTS.load("regularity")
FAMILY = {name: INTENTS.load(name).channel.card.family for name in INTENTS.names()}


def reading(signal: str, bits: float, cluster: int = 0) -> Reading:
    return Reading(cluster, signal, FAMILY[signal], 1.0, 0.1, 100, 0.0, 0.5, 20, bits)


def ties(*held: tuple[str, int, float]) -> pa.Table:
    """What ties the parties of cluster 0: (channel, parties that carry the token, bans)."""
    rows: list[dict[str, Any]] = [
        {"cluster": 0, "entity": entity, "channel": channel, "token": token, "weight": bans}
        for token, (channel, parties, bans) in enumerate(held)
        for entity in range(parties)
    ]
    return pa.Table.from_pylist(rows, schema=TIE_SCHEMA)


COVERT = ties(("payment", 20, 6.0), ("template", 20, 6.0))


def verdict(*readings: Reading, tied: pa.Table = COVERT, trust: str = "declared", size: int = 20) -> Verdict:
    return judge(readings, tied, {0: size}, ALL_LINKS, trust)[0]


STRONG = (reading("evenness", 7.0), reading("regularity", 7.0))


def test_two_families_and_covert_linkage_are_flagged() -> None:
    found = verdict(*STRONG)
    assert found.flagged and found.families == ("coverage", "pacing") and found.bits == 14


def test_two_signals_of_one_family_count_once() -> None:
    """Elicitation, sampling and single turns are all of the family of harvest."""
    found = verdict(reading("elicitation", 8.0), reading("sampling", 8.0), reading("single_turn", 4.0))
    assert found.families == ("harvest",) and found.bits == 8 and not found.flagged


@pytest.mark.parametrize("signal", INTENTS.names())
def test_no_intent_channel_convicts_alone(signal: str) -> None:
    assert not verdict(reading(signal, INTENTS.load(signal).most)).flagged


def test_evidence_against_is_subtracted() -> None:
    found = verdict(*STRONG, reading("load_balance", -3.0))
    assert found.bits == 11 and not found.flagged


def test_families_that_only_whisper_do_not_count() -> None:
    quiet = FAMILY_BITS - 0.1
    found = verdict(reading("evenness", 8.0), reading("regularity", quiet), reading("elicitation", quiet))
    assert found.bits > LINE_BITS and found.families == ("coverage",) and not found.flagged


def test_without_deception_nothing_is_flagged() -> None:
    overt = ties(("template", 20, 8.0), ("egress", 20, 6.0))
    found = verdict(*STRONG, tied=overt)
    assert found.bans >= LINK_BANS and not found.deception and not found.flagged and found.level == "L1"


def test_one_work_list_dealt_out_is_deception_enough() -> None:
    overt = ties(("template", 20, 8.0))
    found = verdict(*STRONG, reading("division", 7.0), tied=overt)
    assert found.deception == ("division",) and found.flagged and found.level == "L3"


def test_a_weak_identity_link_is_no_deception() -> None:
    patterned = ties(("template", 20, 8.0), ("phone", 20, 2.0), ("identity_pattern", 20, 3.0))
    assert not verdict(*STRONG, tied=patterned).flagged


def test_parties_that_are_hardly_linked_are_not_flagged() -> None:
    loose = ties(("payment", 4, 3.0))
    found = verdict(*STRONG, tied=loose)
    assert found.bans == pytest.approx(0.6) and not found.flagged and found.level == "L0"


def test_a_channel_counts_once_however_many_of_its_tokens_a_party_carries() -> None:
    many = ties(*(("client", 20, 1.0 + k / 10) for k in range(9)))
    assert linkage(many, {0: 20}, ALL_LINKS)[0] == (("client", "software", pytest.approx(1.8)),)


def test_only_the_best_link_of_a_family_counts() -> None:
    found = verdict(tied=ties(("payment", 20, 2.0), ("device", 20, 3.0)))
    assert found.bans == 3.0


def test_with_inferred_trust_one_more_family_is_asked_for_and_pace_is_not_heard() -> None:
    heard = (*STRONG, reading("elicitation", 7.0))
    assert verdict(*heard).flagged
    found = verdict(*heard, trust="behaviour")
    assert found.families == ("coverage", "harvest") and not found.flagged
    assert verdict(*heard, reading("load_balance", 7.0), trust="behaviour").flagged


def test_without_any_trust_a_shared_template_links_nobody() -> None:
    overt = ties(("template", 20, 8.0), ("egress", 20, 6.0))
    loud = (*STRONG, reading("division", 8.0))
    assert verdict(*loud, tied=overt).flagged
    assert not verdict(*loud, tied=overt, trust="none").flagged
    assert verdict(*loud, tied=COVERT, trust="none").flagged


def test_dealt_rollouts_are_not_mistaken_for_shared_questions() -> None:
    """Fixed rollouts look like people who ask the same; the certificate overrules it."""
    found = verdict(reading("antibunching", 8.0), reading("division", -6.0), reading("regularity", 6.0))
    assert found.bits == 14
    assert verdict(reading("division", -6.0), *STRONG).bits == 8


# ---- one reading ---------------------------------------------------------------------------------------------------


def test_strength_is_the_surprise_in_bits_up_to_a_cap() -> None:
    assert strength(2.0, 1.0, REGULARITY) == pytest.approx(-np.log2(norm.sf(2.0)))
    assert strength(50.0, 1.0, REGULARITY) == REGULARITY.most


def test_surprise_without_effect_is_no_evidence() -> None:
    assert strength(REGULARITY.effect * 0.99, 1e-6, REGULARITY) == 0.0


def test_a_value_far_below_the_usual_speaks_against() -> None:
    assert strength(-4.0, 1.0, REGULARITY) == pytest.approx(np.log2(norm.cdf(-4.0)).clip(-REGULARITY.most, 0))


def values(*rows: tuple[int, float | None, float, int]) -> dict[str, pa.Table]:
    columns = [list(c) for c in zip(*rows, strict=True)]
    names = ("cluster", "value", "error", "n")
    kinds = (pa.int32(), pa.float64(), pa.float64(), pa.int64())
    arrays = [pa.array(c, k) for c, k in zip(columns, kinds, strict=True)]
    return {"regularity": pa.table(arrays, names=list(names))}


def test_a_missing_value_is_no_reading() -> None:
    assert read_channels(values((0, None, 0.1, 500)), [REGULARITY], FIRST) == []


def test_too_few_observations_are_no_reading() -> None:
    assert read_channels(values((0, 9.0, 0.1, REGULARITY.least - 1)), [REGULARITY], FIRST) == []


def test_few_honest_communities_leave_the_shipped_reference() -> None:
    (found, *_) = read_channels(values((0, 3.0, 0.1, 500), (FIRST, 2.0, 0.1, 500)), [REGULARITY], FIRST)
    assert (found.usual, found.spread) == (REGULARITY.usual, REGULARITY.spread)


def test_enough_honest_communities_replace_the_shipped_reference() -> None:
    honest = [(FIRST + i, 3.0 + 0.01 * i, 0.1, 500) for i in range(20)]
    found = read_channels(values((0, 3.2, 0.1, 500), *honest), [REGULARITY], FIRST)[0]
    assert found.usual == pytest.approx(3.095) and found.bits == 0.0 and found.references == 20
    # Their agreement does not make every deviation a sensation.
    assert found.spread == pytest.approx(0.5 * REGULARITY.spread)


# ---- calibration ---------------------------------------------------------------------------------------------------


def test_a_conformal_p_value_counts_honest_communities_above() -> None:
    honest = list(range(99))
    assert conformal(1000.0, honest) == (0.01, 99)
    assert conformal(-1.0, honest) == (1.0, 99)
    assert conformal(5.0, []) == (None, 0)


def test_conformal_p_values_of_honest_scores_are_not_too_small_too_often() -> None:
    draw = np.random.default_rng(1)
    honest = draw.normal(size=199).tolist()
    p = np.array([conformal(s, honest)[0] for s in draw.normal(size=4000)], float)
    for level in (0.05, 0.1, 0.5):
        assert (p <= level).mean() < level + 4 * np.sqrt(level / 199)


def test_e_values_of_uniform_p_values_are_worth_one_on_average() -> None:
    p = (np.arange(100_000) + 0.5) / 100_000
    assert np.mean([e_value(x) for x in p.tolist()]) == pytest.approx(1.0, abs=0.01)
    assert e_value(None) is None
