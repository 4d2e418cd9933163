"""Which new accounts join a campaign between two looks: by a posterior of several families, never by one of them."""

from __future__ import annotations

from clonewatch.campaigns.growth import JOINS, Attribute, Campaign, Newcomer, grown
from clonewatch.pipeline.detection.signals import linking_signals

SIGNALS = linking_signals()
POPULATION = 2_000
# Forty accounts behind one proxy, on two cards, with the operator's template; 80 honest people use the proxy too.
NETWORK = Attribute("egress", "a1", 40, 120, 0, 20.0)
CARD = Attribute("payment", "b1", 22, 22, 0, 9.0)
TEMPLATE = Attribute("template", "c1", 38, 38, 0, 9.0)
# A prompt that went round: trusted accounts and hundreds of others ask it as well.
POPULAR = Attribute("template", "c2", 30, 430, 60, 0.5)
CAMPAIGN = Campaign("C0001", 40, (NETWORK, CARD, TEMPLATE, POPULAR), {"network": 40, "identity": 40, "content": 39})


def joined(exchanges: int = 20, **carried: int) -> list[tuple[str, tuple[str, ...]]]:
    """Whether an account that carries these attributes joins, and by which families."""
    of = {"network": NETWORK, "card": CARD, "template": TEMPLATE, "popular": POPULAR}
    held = {(of[name].signal, of[name].attribute): n for name, n in carried.items()}
    found = grown([Newcomer(7, exchanges, held)], [CAMPAIGN], POPULATION, SIGNALS)
    assert all(JOINS <= one.posterior <= 1 and one.account == 7 for one in found)
    return [(one.group, one.families) for one in found]


def test_an_account_joins_that_carries_what_ties_the_campaign_and_asks_its_list() -> None:
    assert joined(network=20, card=0, template=15) == [("C0001", ("content", "identity"))]


def test_no_single_family_is_enough_however_strong() -> None:
    assert joined(template=20) == joined(card=0) == joined(network=20) == []
    assert joined(network=20, card=0) == []  # it asks nothing of the list


def test_customers_of_the_same_proxy_do_not_join_whatever_popular_prompt_they_use() -> None:
    assert joined(network=20) == joined(network=20, popular=20) == joined(popular=20) == []
    # Somebody who pays with a card of the campaign, and asks what everybody asks.
    assert joined(network=20, card=0, popular=20) == []


def test_an_account_that_asks_the_list_once_or_twice_does_not_join() -> None:
    assert joined(network=20, card=0, template=2) == []
    assert joined(exchanges=1_000, network=20, card=0, template=30) == []
    assert joined(exchanges=3, network=3, card=0, template=3) != []


def test_the_rarer_a_campaign_is_the_more_it_takes() -> None:
    faint = CAMPAIGN._replace(attributes=tuple(one._replace(weight=4.0) for one in CAMPAIGN.attributes))
    one = [Newcomer(7, 10, {("template", "c1"): 10, ("payment", "b1"): 0, ("egress", "a1"): 10})]
    few = [grown(one, [faint], population, SIGNALS) for population in (80, 20_000_000)]
    assert few[0] and not few[1]


def test_what_a_family_lacks_speaks_against_it() -> None:
    held = {("template", "c1"): 10, ("payment", "b1"): 0}
    bare = CAMPAIGN._replace(carried={"identity": 40, "content": 39})
    (without,), (beside,) = (grown([Newcomer(7, 10, held)], [one], 300, SIGNALS) for one in (bare, CAMPAIGN))
    assert without.posterior > beside.posterior
