"""The gate lets through what is on its list, and names every field of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.sharing_stand import KNOWN, RULES, TEMPLATE, TODAY, indicator, release

from clonewatch.behaviour import tests as behaviour_tests
from clonewatch.dossier.crosswalk import catalogues
from clonewatch.links import signals
from clonewatch.model.errors import InputError, SetupError
from clonewatch.ports.shelf import Shelf
from clonewatch.sharing.indicators import KINDS
from clonewatch.sharing.release import decoded, encoded
from clonewatch.sharing.release_gate import gate, legal
from clonewatch.sharing.release_gate.fields import INDICATOR, RELEASE
from clonewatch.sharing.release_gate.preview import preview
from clonewatch.sharing.release_gate.profiles import PROFILES
from clonewatch.sharing.release_gate.vocabulary import ATLAS, BEHAVIOURS, FAMILIES, GAPS

TESTS, LINKS = Shelf(behaviour_tests.__name__, "TEST"), Shelf(signals.__name__, "SIGNAL")


def refused(**other: Any) -> list[str]:
    return [one.field for one in gate.refusals(release(**other), KNOWN)]


def one(kind: str, value: str, **other: Any) -> list[str]:
    return refused(indicators=(indicator(0, kind, value, **other),))


def test_what_is_on_the_list_leaves_as_it_is() -> None:
    made = release()
    assert gate.opened(made, KNOWN) == encoded(made) and decoded(encoded(made)) == made


def test_every_field_of_the_schema_has_a_rule_with_a_reason_and_no_other_has() -> None:
    named = [rule.name for rule in RELEASE] + [f"indicators.{rule.name}" for rule in INDICATOR]
    assert sorted(named) == sorted(gate.every_field()) and all(rule.why for rule in (*RELEASE, *INDICATOR))


def test_a_field_that_is_not_on_the_list_is_not_even_read() -> None:
    held = msgspec.json.decode(encoded(release()))
    for place in (held, held["indicators"][0], held["basis"]):
        place["customers"] = 17
        with pytest.raises(SetupError, match="unknown field `customers`"):
            decoded(msgspec.json.encode(held))
        del place["customers"]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("id", {"id": "K0001"}),
        ("id", {"id": "72b6bd8a-e1f3-10d6-a5d3-7249fdbb40f7"}),
        ("revision", {"revision": 31_199}),
        ("revision", {"revision": 2}),
        ("what", {"what": "accusation"}),
        ("profile", {"profile": "sales"}),
        ("sender", {"sender": "acme"}),
        ("made_at", {"made_at": f"{TODAY}T09:12:00Z"}),
        ("made_at", {"made_at": "2026-11-27T09:00:00Z"}),
        ("until", {"until": "2027-11-28"}),
        ("until", {"until": "never"}),
        ("tlp", {"tlp": "CLEAR"}),
        ("tlp", {"tlp": "WHITE"}),
        ("pap", {"pap": "block them"}),
        ("confidence", {"confidence": 83}),
        ("confidence", {"confidence": 0}),
        ("families", {"families": ("network",)}),
        ("families", {"families": ("network", "price")}),
        ("families", {"families": ("network", "identity")}),
        ("attack", {"attack": ("AML.T9999",)}),
        ("reason", {"reason": "they are a competitor"}),
        ("reason", {"reason": "mistake"}),
        ("instead_of", {"instead_of": "acct-17"}),
        ("statement", {"statement": "We all agree to refuse them."}),
        ("schema", {"schema": "clonewatch.release.v2"}),
        ("indicators", {"indicators": ()}),
    ],
)
def test_a_field_that_holds_anything_else_is_refused_by_name(field: str, other: dict[str, Any]) -> None:
    assert field in refused(**other)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("network", "8.8.8.8/32"),
        ("network", "10.0.0.0/24"),
        ("mail_domain", "customer.example"),
        ("tls", "ja3:5d41402abc4b2a76b9719d911017c592"),
        ("http", "h2:5d41402abc4b2a76b9719d911017c592"),
        ("behaviour", "single_turn_bits>=3.71"),
        ("behaviour", "requests>=8"),
        ("timing", "active_days:3-13"),
        ("timing", "exchanges:3-14"),
        ("attack", "AML.T0000"),
        ("issuer_class", "411111"),
        ("template_family", "how do I"),
        ("account", "acct-17"),
    ],
)
def test_a_value_that_could_be_a_person_a_customer_or_a_count_is_refused(kind: str, value: str) -> None:
    assert {"indicators.0.value", "indicators.0.kind"} & set(one(kind, value))


def test_indicators_end_begin_and_are_there_once() -> None:
    assert one("network", "8.8.4.0/24", until="2026-12-19") == ["indicators.0.until"]
    assert one("tls", "ja4:t13d1516h2_8daaf6152771_e5627efa2ab1", since="2026-11-29") == ["indicators.0.since"]
    assert one("timing", "active_days:3-14", until="2026-12-21") == ["indicators.0.until"]
    assert one("timing", "active_days:3-14", withdrawn="mistake") == ["indicators.0.withdrawn"]
    twice = tuple(indicator(n, "issuer_class", "prepaid") for n in (0, 1))
    assert refused(indicators=twice) == ["indicators.1"]
    many = tuple(indicator(n, "network", f"8.{n // 256}.{n % 256}.0/24") for n in range(gate.MOST_INDICATORS + 1))
    assert refused(indicators=many) == ["indicators"]


def test_what_a_group_key_enciphers_stays_in_the_group() -> None:
    wide = {"profile": "information_sharing", "tlp": "GREEN"}
    assert refused(indicators=(indicator(0, "template_family", TEMPLATE),), **wide) == ["indicators.0.kind"]
    assert refused(indicators=(indicator(0, "issuer_class", "prepaid"),), **wide) == []
    assert "indicators.4.kind" in refused(profile="incident_report")


def test_a_retraction_withdraws_all_of_it_with_a_reason() -> None:
    gone = tuple(msgspec.structs.replace(held, withdrawn="ruled_innocent") for held in release().indicators)
    said = {"what": "retraction", "revision": 2, "reason": "ruled_innocent"}
    assert refused(**said, indicators=gone) == [] and refused(**said, indicators=()) == []
    assert refused(**said) == [f"indicators.{n}.withdrawn" for n in range(len(gone))]


def test_the_refusal_names_the_first_fields_and_counts_the_others() -> None:
    with pytest.raises(SetupError, match=r"refuses 8 fields: .*; and 3 more"):
        gate.opened(release(id="x", sender="y", pap="z", confidence=1, reason="w", statement="v", tlp="u"), KNOWN)


def test_the_preview_shows_the_bytes_and_says_of_every_field_why() -> None:
    made = release()
    told = preview(made, KNOWN)
    assert told["bytes"].encode() == gate.opened(made, KNOWN) and told["refused"] == []
    assert len(told["fields"]) == len(RELEASE) - 1 + len(INDICATOR) * len(made.indicators)
    assert all(field["why"] for field in told["fields"])
    assert [x["field"] for x in preview(release(sender="acme"), KNOWN)["refused"]] == ["sender"]


def test_words_are_those_of_the_signals_the_catalogue_and_the_kinds() -> None:
    cards = [TESTS.load(n).signal.card for n in TESTS.names()] + [LINKS.load(n).signal.card for n in LINKS.names()]
    assert {card.family for card in cards} == FAMILIES
    assert {name: TESTS.load(name).signal.card.family for name in BEHAVIOURS} == dict(BEHAVIOURS)
    assert ATLAS <= catalogues()["MITRE ATLAS"]["ids"].keys()
    assert all(KINDS["attack"].form.fullmatch(name) for name in (*ATLAS, *GAPS))
    assert all(terms.kinds <= KINDS.keys() for terms in PROFILES.values())


def test_no_rule_of_law_that_ships_is_in_force() -> None:
    assert RULES and not any(rule.holds(TODAY) for rule in RULES.values())
    assert all(rule.as_of and rule.source.startswith("https://") for rule in RULES.values())


def test_counsel_says_otherwise_with_a_day_and_a_source(tmp_path: Path) -> None:
    file = tmp_path / "legal.toml"
    rule = '[[rules]]\nid = "us.cisa2015"\nsays = "x"\nin_force = true\nuntil = "2027-09-30"\nas_of = "2026-11-01"\n'
    file.write_text(f'schema = "clonewatch.legal-status.v1"\n{rule}source = "https://example.org/law"\n')
    rules = legal.status(file)
    assert rules["us.cisa2015"].holds(TODAY) and not rules["us.cisa2015"].holds("2027-10-01") and "none" in rules
    made = release(basis=legal.basis(rules, "us.cisa2015", TODAY))
    assert gate.refusals(made, KNOWN._replace(rules=rules)) == []
    # The same release under the status that ships says something that is not so.
    assert [held.field for held in gate.refusals(made, KNOWN)] == ["basis"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("https://example.org/law", "call our lawyer"), "the source is no plain address"),
        (('as_of = "2026-11-01"', 'as_of = "lately"'), "is no day"),
        (('id = "us.xx"', 'id = "Acme, who pays 40 a month"'), "is no short word"),
        (("in_force = true", "in_force = true\nprice = 3"), "unknown field"),
        (("schema", "scheme"), "this is no legal status"),
    ],
)
def test_a_faulty_status_of_the_law_is_named(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = 'schema = "clonewatch.legal-status.v1"\n[[rules]]\nid = "us.xx"\nsays = "x"\nin_force = true\n'
    text += 'as_of = "2026-11-01"\nsource = "https://example.org/law"\n'
    file = tmp_path / "legal.toml"
    file.write_text(text.replace(*change))
    with pytest.raises(SetupError, match=said):
        legal.status(file)


def test_a_status_that_was_looked_up_long_ago_is_none() -> None:
    with pytest.raises(SetupError, match="too long ago"):
        legal.basis(RULES, "us.hr8283", "2028-01-01")
    with pytest.raises(SetupError, match="there is no rule"):
        legal.basis(RULES, "eu.x", TODAY)
    with pytest.raises(InputError, match="cannot read the legal status"):
        legal.status(Path("no such file"))
