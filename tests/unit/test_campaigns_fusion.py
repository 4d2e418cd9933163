"""Fusion of evidence: families count, evidence against is subtracted, and without deception nothing is flagged."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from clonewatch.campaigns.fusion import (
    DEALT_OUT,
    FAMILY_BITS,
    FLAG_BITS,
    LINK_BITS,
    Reading,
    Verdict,
    judge,
    linkage,
    measure_tests,
    strength,
    total_bits,
)
from clonewatch.graph.communities import FIRST
from clonewatch.graph.incidences import EDGE_SCHEMA
from clonewatch.pipeline.detection.signals import SIGNALS, TESTS
from clonewatch.ports.behaviour import BehaviouralTest

ALL_LINKS = {name: SIGNALS.load(name) for name in SIGNALS.names()}
REGULARITY: BehaviouralTest = TESTS.load("regularity")
ALL_TESTS: dict[str, BehaviouralTest] = {name: TESTS.load(name) for name in TESTS.names()}
FAMILY = {name: test.signal.card.family for name, test in ALL_TESTS.items()}


# Bits in a factor of ten.
TEN = float(np.log2(10))


def reading(signal: str, bits: float, cluster: int = 0) -> Reading:
    return Reading(cluster, signal, FAMILY[signal], 1.0, 0.1, 100, 0.0, 0.5, 20, bits)


def edges(*links: tuple[str, int, float]) -> pa.Table:
    """Edges of cluster 0 from (signal, entities that carry the attribute, its weight in factors of ten)."""
    rows: list[dict[str, Any]] = [
        {"cluster": 0, "entity": entity, "signal": signal, "weight": tens * TEN}
        for signal, entities, tens in links
        for entity in range(entities)
    ]
    return pa.Table.from_pylist(rows, schema=EDGE_SCHEMA)


COVERT = edges(("payment", 20, 6.0), ("template", 20, 6.0))


def verdict(*readings: Reading, linked: pa.Table = COVERT, trust: str = "declared", size: int = 20) -> Verdict:
    return judge(readings, linked, {0: size}, ALL_LINKS, ALL_TESTS, {0: trust})[0]


STRONG = (reading("coverage_uniformity", 5.0), reading("regularity", 5.0), reading("elicitation", 5.0))


def test_three_families_and_covert_linkage_are_flagged() -> None:
    found = verdict(*STRONG)
    assert found.flagged and found.families == ("coverage", "harvest", "pacing") and found.bits == 15


def test_two_families_are_not_enough_where_trust_is_known() -> None:
    """However strong: a batch job is steady and even too."""
    strong = (reading("coverage_uniformity", 8.0), reading("regularity", 8.0))
    assert verdict(*strong).bits > FLAG_BITS and not verdict(*strong).flagged
    assert verdict(*strong, trust="none").flagged, (
        "where no account is trusted, a link that unrelated accounts never share is required instead"
    )


def test_two_signals_of_one_family_count_once() -> None:
    """Elicitation, sampling and single turns all belong to the family `harvest`."""
    found = verdict(reading("elicitation", 8.0), reading("sampling", 8.0), reading("single_turn", 4.0))
    assert found.families == ("harvest",) and found.bits == 8 and not found.flagged


@pytest.mark.parametrize("signal", TESTS.names())
@pytest.mark.parametrize("trust", ["declared", "behaviour", "none"])
def test_no_behavioural_test_convicts_alone(signal: str, trust: str) -> None:
    assert not verdict(reading(signal, TESTS.load(signal).most), trust=trust).flagged


@pytest.mark.parametrize("signal", ["load_balance", "trusted_members"])
def test_evidence_against_is_subtracted(signal: str) -> None:
    found = verdict(*STRONG, reading(signal, -4.0))
    assert found.bits == 11 and not found.flagged


def test_families_with_faint_evidence_do_not_count() -> None:
    faint = FAMILY_BITS - 0.1
    found = verdict(reading("coverage_uniformity", 8.0), reading("regularity", faint), reading("elicitation", faint))
    assert found.bits > FLAG_BITS and found.families == ("coverage",) and not found.flagged


OVERT = edges(("template", 20, 8.0), ("egress", 20, 6.0))


def test_without_deception_nothing_is_flagged() -> None:
    found = verdict(*STRONG, linked=OVERT)
    assert found.link_bits >= LINK_BITS and not found.deception and not found.flagged and found.level == "L1"


EVEN_LOAD = reading("load_balance", 5.0)


def test_one_work_list_dealt_out_in_equal_shares_is_a_deception() -> None:
    found = verdict(
        reading("coverage_uniformity", 5.0),
        EVEN_LOAD,
        reading("work_partition", 7.0),
        linked=edges(("template", 20, 8.0), ("egress", 20, 2.0)),
    )
    assert found.deception == ("work_partition",) and found.flagged and found.level == "L3"


def test_what_an_application_brings_along_is_no_deception_unless_a_harvest_is_dealt_out_without_habits() -> None:
    """The users of an app share its prompt and its client, ask unlike questions, and may ask equally often."""
    app = edges(
        ("system_prompt", 20, 8.0),
        ("client", 20, 5.0),
        ("template", 20, 8.0),
        ("egress", 20, 1.6 / TEN),
    )
    shown = (
        reading("coverage_uniformity", 5.0),
        EVEN_LOAD,
        reading("work_partition", 7.0),
        reading("single_turn", 4.0),
    )
    people = verdict(*shown, linked=app)
    assert not people.deception and not people.flagged and people.criteria.limiting == "deception"
    annotators = verdict(*shown, NO_HABITS, linked=app)
    assert not annotators.deception and not annotators.flagged
    harvest = (*shown, reading("elicitation", 8.0))
    assert not verdict(*harvest, linked=app).flagged
    dealt = verdict(*harvest, NO_HABITS, linked=app)
    assert dealt.deception == (DEALT_OUT,) and dealt.flagged
    assert not verdict(*harvest, reading("individuality", 3.2), linked=app).flagged
    addresses = edges(("client", 20, 8.0), ("template", 20, 8.0), ("identity_pattern", 20, 3.0))
    client = edges(("client", 20, 10.0), ("system_prompt", 20, 8.0))
    for firm in (addresses, client):
        found = verdict(*harvest, NO_HABITS, linked=firm)
        assert not found.deception and not found.flagged and found.criteria.limiting == "deception"


def test_entrants_of_a_contest_never_ask_the_same_question_and_that_is_no_deception() -> None:
    """People who bring their own work bring as much as they like: nobody dealt it out."""
    found = verdict(*STRONG, reading("work_partition", 8.0), linked=OVERT)
    assert not found.deception and not found.flagged


# What a machine shows that works off a list of few topics.
NARROW = (reading("regularity", 8.0), reading("elicitation", 8.0))


@pytest.mark.parametrize(
    ("more", "device", "facts"),
    [
        ((), 4.6 / TEN, ("device",)),
        ((), 4.4 / TEN, ()),
        ((("anticorrelation", 8.0),), 0.0, ("anticorrelation",)),
        ((("replenishment", 8.0),), 0.0, ("replenishment",)),
        ((("under_dispersion", 8.0),), 0.0, ()),
        ((("coverage_uniformity", 3.2),), 0.0, ()),
        ((("coverage_uniformity", 3.4),), 0.0, (DEALT_OUT, "work_partition")),
    ],
)
def test_one_payer_explains_its_card_and_its_list_and_no_machine_behind_all_accounts(
    more: tuple[tuple[str, float], ...], device: float, facts: tuple[str, ...]
) -> None:
    shown = (*NARROW, reading("work_partition", 8.0), EVEN_LOAD, NO_HABITS, *(reading(n, b) for n, b in more))
    linked = edges(("payment", 20, 8.0), ("client", 20, 5.0), ("device", 20, device))
    assert judge(shown, linked, {0: 20}, ALL_LINKS, ALL_TESTS, {0: "declared"}, {0})[0].deception == facts


def test_a_group_that_one_card_pays_for_poses_as_nobody() -> None:
    shown = (*NARROW, reading("work_partition", 8.0), EVEN_LOAD, NO_HABITS)
    linked = edges(("payment", 20, 8.0), ("client", 20, 5.0))
    several, one = (judge(shown, linked, {0: 20}, ALL_LINKS, ALL_TESTS, {0: "declared"}, paid)[0] for paid in ((), {0}))
    assert several.flagged and "payment" in several.deception
    assert not one.flagged and not one.deception and one.linked and one.criteria.limiting == "deception"


@pytest.mark.parametrize(("weight", "counts"), [(3.0, False), (1.6 / TEN, True)])
def test_accounts_that_succession_gathered_are_not_tested_for_starting_after_bans(weight: float, counts: bool) -> None:
    """Guests of an event who sign up after a ban are no refilled pool because they were gathered for it."""
    refilled = (*STRONG[:2], reading("coverage_uniformity", 8.0), reading("replenishment", 8.0))
    found = verdict(*refilled, linked=edges(("template", 20, 8.0), ("egress", 20, 5.0), ("succession", 20, weight)))
    assert ("lifecycle" in found.families) == counts == ("replenishment" in found.deception)


@pytest.mark.parametrize(("bits", "shown"), [(3.2, False), (3.4, True)])
def test_a_fact_of_deception_must_be_significant_at_one_in_ten(bits: float, shown: bool) -> None:
    for evidence in (
        (reading("work_partition", bits), EVEN_LOAD),
        (reading("work_partition", 8.0), reading("load_balance", bits)),
    ):
        found = verdict(
            *STRONG[:2], reading("replenishment", 0.0), *evidence, reading("coverage_uniformity", 8.0), linked=OVERT
        )
        assert bool(found.deception) == shown


def test_equal_shares_of_work_shaped_for_training_are_a_deception() -> None:
    """Load and harvest, at a machine's pace or spread evenly over a list: nobody does their own work like that."""
    dealt = (reading("load_balance", 5.0), reading("regularity", 5.0), reading("elicitation", 5.0))
    found = verdict(*dealt, linked=OVERT)
    assert found.deception == ("dealt out",) and found.flagged
    for missing in range(3):
        two = [r if i != missing else r._replace(bits=3.0) for i, r in enumerate(dealt)]
        assert not verdict(*two, reading("release", 8.0), linked=OVERT).flagged
        # A list worked evenly replaces a machine's pace, and nothing else.
        assert verdict(*two, reading("coverage_uniformity", 8.0), linked=OVERT).flagged == (missing == 1)
    class_like = verdict(*dealt, reading("work_partition", -1.0), linked=OVERT)
    assert not class_like.deception and not class_like.flagged


def test_a_weak_identity_link_is_no_deception() -> None:
    patterned = edges(("template", 20, 8.0), ("phone", 20, 2.0), ("identity_pattern", 20, 3.0))
    assert not verdict(*STRONG, linked=patterned).flagged


def test_entities_that_are_hardly_linked_are_not_flagged() -> None:
    loose = edges(("payment", 4, 3.0))
    found = verdict(*STRONG, linked=loose)
    assert found.link_bits == pytest.approx(0.6 * TEN) and not found.flagged and found.level == "L0"


def test_a_signal_counts_once_however_many_of_its_attributes_an_entity_carries() -> None:
    many = edges(*(("client", 20, 1.0 + k / 10) for k in range(9)))
    assert linkage(many, {0: 20}, ALL_LINKS)[0] == (("client", "software", pytest.approx(1.8 * TEN)),)


def test_only_the_best_link_of_a_family_counts() -> None:
    linked = edges(("payment", 20, 2.0), ("device", 20, 3.0))
    assert verdict(linked=linked).link_bits == total_bits(linkage(linked, {0: 20}, ALL_LINKS)[0]) == LINK_BITS


def test_with_inferred_trust_pace_does_not_count() -> None:
    """Entities that were linked because they have no bursts are not tested for having none."""
    assert verdict(*STRONG).flagged
    found = verdict(*STRONG, trust="behaviour")
    assert found.families == ("coverage", "harvest") and not found.flagged
    assert verdict(*STRONG, reading("load_balance", 5.0), trust="behaviour").flagged


def test_with_inferred_trust_two_families_of_links_are_required() -> None:
    evidence = (*STRONG, reading("load_balance", 5.0), reading("work_partition", 8.0))
    alone = edges(("payment", 20, 8.0))
    assert verdict(*evidence, linked=alone).flagged
    assert not verdict(*evidence, linked=alone, trust="behaviour").flagged


def test_each_cluster_is_judged_by_the_trust_its_own_links_rest_on() -> None:
    both = pa.concat_tables([COVERT, COVERT.set_column(0, "cluster", pa.array([1] * COVERT.num_rows, pa.int32()))])
    evidence = [r._replace(cluster=c) for c in (0, 1) for r in STRONG]
    found = judge(evidence, both, {0: 20, 1: 20}, ALL_LINKS, ALL_TESTS, {0: "declared", 1: "behaviour"})
    assert [v.flagged for v in found] == [True, False]


def test_without_any_trust_a_shared_template_links_nobody() -> None:
    strong = (*STRONG, reading("work_partition", 8.0), EVEN_LOAD)
    assert verdict(*strong, linked=OVERT).flagged
    assert not verdict(*strong, linked=OVERT, trust="none").flagged
    assert verdict(*strong, linked=COVERT, trust="none").flagged


def test_dealt_out_rollouts_are_not_mistaken_for_shared_questions() -> None:
    """Fixed rollouts look like people who ask the same questions; under-dispersion overrules that."""
    found = verdict(reading("under_dispersion", 8.0), reading("work_partition", -6.0), reading("regularity", 6.0))
    assert found.bits == 14
    assert verdict(reading("work_partition", -6.0), *STRONG).bits == 9
    # A fixed order may come from the calendar: it overrules nothing.
    assert verdict(reading("fixed_order", 8.0), reading("work_partition", -6.0), reading("regularity", 6.0)).bits == 8


# ---- the threshold ratio ---------------------------------------------------------------------------------------------


def test_a_group_is_flagged_exactly_where_its_threshold_ratio_reaches_one() -> None:
    draw = np.random.default_rng(0)
    seen = set()
    for _ in range(400):
        evidence = [reading(s, float(draw.uniform(-3, 9))) for s in draw.choice(TESTS.names(), 7, replace=False)]
        linked = edges(("payment", int(draw.integers(1, 21)), 5.0), ("template", 20, float(draw.uniform(0.5, 6))))
        found = verdict(*evidence, linked=linked, trust=str(draw.choice(["declared", "behaviour", "none"])))
        assert found.flagged == (found.threshold_ratio >= 1.0)
        seen.add(found.flagged)
    assert seen == {True, False}


def test_the_threshold_ratio_is_that_of_the_limiting_criterion() -> None:
    best = verdict(*(r._replace(bits=8.0) for r in STRONG))
    assert best.threshold_ratio == pytest.approx(8.0 / FAMILY_BITS)  # bits, families, linkage, deception: 2, 1.8, 4, 12
    faint_third = verdict(reading("coverage_uniformity", 8.0), reading("regularity", 8.0), reading("elicitation", 1.5))
    assert faint_third.threshold_ratio == pytest.approx(1.5 / FAMILY_BITS)
    weak = verdict(*STRONG, linked=edges(("payment", 20, 1.5))).threshold_ratio
    assert weak == pytest.approx((1.5 * TEN + 3.0 / 4) / LINK_BITS), (
        "a quarter of what the sum has beyond its threshold"
    )
    assert verdict(*STRONG, reading("trusted_members", -6.0)).threshold_ratio == pytest.approx(9 / FLAG_BITS)


def test_groups_with_a_criterion_not_met_at_all_are_ordered_by_their_evidence() -> None:
    """Otherwise all calibration groups without a deception would be equal, and their p-values would mean nothing."""
    threshold_ratios = [
        verdict(reading("coverage_uniformity", bits), linked=OVERT).threshold_ratio
        if bits >= 0
        else verdict(reading("work_partition", bits), linked=OVERT).threshold_ratio
        for bits in (-8.0, -3.0, 0.5, 3.0, 8.0)
    ]
    assert (
        threshold_ratios == sorted(threshold_ratios)
        and len(set(threshold_ratios)) == len(threshold_ratios)
        and max(threshold_ratios) < 0
    )
    assert (
        verdict(*STRONG, linked=OVERT).threshold_ratio
        < verdict(*STRONG, linked=edges(("payment", 20, 0.6))).threshold_ratio
    )


def test_a_group_that_lacks_a_required_kind_of_link_is_at_most_half_way() -> None:
    strong = (*STRONG, reading("work_partition", 8.0), reading("load_balance", 8.0))
    assert verdict(*strong, linked=OVERT, trust="none").threshold_ratio == 0.5
    assert verdict(*strong, linked=edges(("payment", 20, 8.0)), trust="behaviour").threshold_ratio == 0.5


def test_more_evidence_never_lowers_the_threshold_ratio() -> None:
    for signal in ("coverage_uniformity", "regularity", "elicitation", "work_partition"):
        found = [verdict(*STRONG, reading(signal, bits)).threshold_ratio for bits in np.arange(0, 8.1, 0.5)]
        assert found == sorted(found), signal
    threshold_ratios = [
        verdict(*STRONG, linked=edges(("payment", 20, w))).threshold_ratio for w in np.arange(0.1, 8, 0.3)
    ]
    assert threshold_ratios == sorted(threshold_ratios)


# ---- one reading ---------------------------------------------------------------------------------------------------


def test_strength_is_significance_in_bits_up_to_a_cap() -> None:
    assert strength(2.0, 1.0, REGULARITY) == pytest.approx(-np.log2(norm.sf(2.0)))
    assert strength(50.0, 1.0, REGULARITY) == REGULARITY.most


def test_an_effect_that_falls_short_by_little_loses_little() -> None:
    whole, nearly = (strength(REGULARITY.effect * part, 1e-6, REGULARITY) for part in (1.0, 0.99))
    assert whole == REGULARITY.most and 0.95 * whole < nearly < whole
    steps = [strength(REGULARITY.effect * part, 0.2, REGULARITY) for part in np.linspace(0.5, 1.5, 101)]
    assert all(0 <= b - a < 0.6 for a, b in itertools.pairwise(steps))


def test_significance_without_effect_is_no_evidence() -> None:
    assert strength(REGULARITY.effect * 0.75, 1e-6, REGULARITY) == 0.0


def test_a_value_far_below_the_usual_is_evidence_against() -> None:
    assert strength(-4.0, 1.0, REGULARITY) == pytest.approx(np.log2(norm.cdf(-4.0)).clip(-REGULARITY.most, 0))


def test_evidence_in_bits_is_taken_as_it_is_and_not_compared_with_communiedges() -> None:
    trusted: BehaviouralTest = TESTS.load("trusted_members")
    assert trusted.in_bits and strength(-3.5, 1.0, trusted) == -3.5
    assert strength(-50.0, 1.0, trusted) == -trusted.most_against
    assert strength(-0.5, 1.0, trusted) == 0.0, "less than one bit counts nothing"
    table = values((0, -5.0, 0.0, 30), *((FIRST + i, -4.9, 0.0, 30) for i in range(20)))
    found = measure_tests({"trusted_members": table["regularity"]}, [trusted], FIRST)[0]
    assert found.bits == -5.0


def values(*rows: tuple[int, float | None, float, int]) -> dict[str, pa.Table]:
    columns = [list(c) for c in zip(*rows, strict=True)]
    names = ("cluster", "value", "error", "n")
    kinds = (pa.int32(), pa.float64(), pa.float64(), pa.int64())
    arrays = [pa.array(c, k) for c, k in zip(columns, kinds, strict=True)]
    return {"regularity": pa.table(arrays, names=list(names))}


def test_a_missing_value_is_no_reading() -> None:
    assert measure_tests(values((0, None, 0.1, 500)), [REGULARITY], FIRST) == []


def test_too_few_observations_are_no_reading() -> None:
    assert measure_tests(values((0, 9.0, 0.1, REGULARITY.least - 1)), [REGULARITY], FIRST) == []


def test_with_few_reference_communities_the_shipped_reference_is_used() -> None:
    (found, *_) = measure_tests(values((0, 3.0, 0.1, 500), (FIRST, 2.0, 0.1, 500)), [REGULARITY], FIRST)
    assert (found.usual, found.spread) == (REGULARITY.usual, REGULARITY.spread)


def test_enough_reference_communities_replace_the_shipped_reference() -> None:
    references = [(FIRST + i, 3.0 + 0.01 * i, 0.1, 500) for i in range(20)]
    found = measure_tests(values((0, 3.2, 0.1, 500), *references), [REGULARITY], FIRST)[0]
    assert found.usual == pytest.approx(3.095) and found.bits == 0.0 and found.references == 20
    # Where they agree, not every deviation is remarkable.
    assert found.spread == pytest.approx(0.5 * REGULARITY.spread)


def test_a_verdict_names_the_criterion_that_limits_it() -> None:
    found = verdict(*STRONG)
    assert found.threshold_ratio == round(min(found.criteria), 9)
    assert found.strengths == (("coverage", 5.0), ("harvest", 5.0), ("pacing", 5.0))
    assert verdict(reading("elicitation", 8.0)).criteria.limiting == "third_family", "one family is not three"
    open_links = edges(("template", 20, 6.0), ("egress", 20, 6.0))
    assert verdict(*STRONG, linked=open_links).criteria.limiting == "deception", "nothing shows unrelated names"
    assert verdict(reading("work_partition", -8.0)).criteria.limiting == "sum_of_families"


@pytest.mark.parametrize("trust", ["behaviour", "none"])
def test_a_group_that_lacks_a_required_kind_of_link_is_limited_by_linkage(trust: str) -> None:
    strong = (*(r._replace(bits=8.0) for r in STRONG), reading("fixed_order", 8.0))
    criteria = verdict(*strong, linked=edges(("template", 20, 6.0)), trust=trust).criteria
    assert criteria.linkage == 0.5


def test_clear_behaviour_makes_a_weakly_linked_group_known_and_never_flags_it() -> None:
    clear = tuple(r._replace(bits=8.0) for r in STRONG)
    weakly = edges(("payment", 20, 1.5))
    assert not verdict(*STRONG, linked=weakly).linked
    assert verdict(*clear, linked=weakly).linked and not verdict(*clear, linked=weakly).flagged
    assert not verdict(*clear, linked=edges(("payment", 20, 0.9))).linked


@pytest.mark.parametrize(("payment", "flagged"), [(2.2, False), (2.3, True)])
def test_clear_behaviour_stands_in_for_a_quarter_of_the_linkage_at_most(payment: float, flagged: bool) -> None:
    clear = tuple(r._replace(bits=8.0) for r in STRONG)
    assert payment * TEN < LINK_BITS
    found = verdict(*clear, linked=edges(("payment", 20, payment)))
    assert found.flagged is flagged and found.threshold_ratio <= 1.0, "what is supported meets the criterion at most"
    inferred = verdict(*clear, linked=edges(("payment", 20, payment)), trust="behaviour")
    assert not inferred.flagged, "where trust was inferred, a second kind of link is required as before"


def test_a_group_half_way_in_every_criterion_is_reported() -> None:
    weakly = edges(("payment", 20, 1.6))
    assert not verdict(*STRONG, linked=edges(("payment", 20, 1.4))).linked
    assert verdict(*STRONG, linked=weakly).linked and not verdict(*STRONG, linked=weakly).flagged
    half = (reading("coverage_uniformity", 5.0), reading("elicitation", 5.0), reading("regularity", 2.0))
    assert not verdict(*half, linked=weakly).linked, "its third family is not half way"


TWO = (reading("coverage_uniformity", 8.0), reading("elicitation", 8.0))
NO_HABITS = reading("individuality", 6.0)


def test_accounts_without_habits_are_a_third_family_only_where_training_data_is_asked_for() -> None:
    assert not verdict(*TWO).flagged and verdict(*TWO, NO_HABITS).flagged
    back_end = (reading("coverage_uniformity", 8.0), reading("work_partition", 8.0), NO_HABITS)
    assert not verdict(*back_end).flagged


def test_having_no_habits_adds_nothing_to_the_sum() -> None:
    assert verdict(*STRONG, NO_HABITS).bits == verdict(*STRONG).bits


def test_entrants_of_a_contest_have_no_habits_in_common_and_deceive_nobody() -> None:
    unlinked = edges(("template", 20, 4.0), ("referrer", 20, 1.0))
    dealt = (reading("coverage_uniformity", 8.0), reading("regularity", 8.0), reading("work_partition", 8.0))
    assert verdict(*dealt, NO_HABITS, linked=unlinked).deception == ()
    assert verdict(*dealt, reading("load_balance", 6.0), linked=unlinked).deception == ("work_partition",)


def test_a_harvest_dealt_out_unevenly_deceives_where_no_account_has_habits() -> None:
    unlinked = edges(("template", 20, 4.0), ("system_prompt", 20, 4.0))
    assert DEALT_OUT not in verdict(*STRONG, linked=unlinked).deception
    assert DEALT_OUT in verdict(*STRONG, NO_HABITS, linked=unlinked).deception


def test_rare_prompts_in_common_explain_why_the_same_question_comes_often() -> None:
    overlap = reading("work_partition", -8.0)
    rollouts = edges(("payment", 20, 3.0), ("rare_prompt", 20, 2.0))
    a_few = edges(("payment", 20, 3.0), ("rare_prompt", 20, 0.5))
    assert verdict(*STRONG, overlap, linked=rollouts).bits == 15
    assert verdict(*STRONG, overlap, linked=a_few).bits == 7
