"""Policies: every fault is found, with its line; rules by volume, country or name are refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.kernels.toml_lines import Lines
from clonewatch.policy.conditions import Condition, compiled
from clonewatch.policy.facts import ACCOUNT, CAMPAIGN, REFUSED, SAMPLE_ACCOUNT, SAMPLE_CAMPAIGN, refusal
from clonewatch.policy.policy_file import Policy, PolicyError, parsed, read

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "policy.toml"
HEAD = 'schema = "clonewatch.policy.v1"\nname = "p"\nversion = 1\nappeal_url = "https://example.com/appeal"\n'
RULE = '[[rules]]\nid = "one"\nwhen = \'account.role == "core"\'\naction = "notify"\nreason = "linked"\n'


def faults(text: str) -> list[tuple[int, str]]:
    found = parsed(text.encode())
    assert isinstance(found, list), "nothing is wrong with it"
    return [(fault.line, fault.what) for fault in found]


def test_the_example_holds_and_its_examples_give_what_they_say() -> None:
    held = read(EXAMPLE)
    assert {rule.mode for rule in held.rules} == {"shadow", "enforce"}
    done = CliRunner().invoke(app, ["policy", "test", str(EXAMPLE)])
    assert (done.exit_code, done.output) == (0, "4 of 4 examples give what they say.\n")
    done = CliRunner().invoke(app, ["policy", "check", str(EXAMPLE)])
    assert done.exit_code == 0 and "4 rules, nothing is wrong" in done.output


def test_a_rule_is_shadow_unless_it_says_otherwise_and_takes_the_persons_of_its_action() -> None:
    held = parsed((HEAD + RULE).encode())
    assert isinstance(held, Policy)
    assert (held.rules[0].mode, held.rules[0].days, held.rules[0].approvals) == ("shadow", 30, 1)
    assert held.lapse_hours == 24


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        ("campaign.exchanges > 100000", "volume is no evidence"),
        ("campaign.accounts > 50", "volume is no evidence"),
        ("account.tokens_per_day > 1000000", "volume is no evidence"),
        ("account.harvested_exchanges > 10", "volume is no evidence"),
        ('account.country == "XX"', "is discrimination"),
        ('account.billing_country in ["XX", "YY"]', "is discrimination"),
        ('account.prompt_language == "xx"', "is discrimination"),
        ("account.asn == 64496", "is discrimination"),
        ('account.org_name == "Acme"', "by name is no policy"),
        ('account.id == "acct-1"', "by name is no policy"),
        ('account.email_domain.endsWith("example.com")', "by name is no policy"),
    ],
)
def test_rules_by_volume_country_or_name_are_refused_with_the_reason(fact: str, why: str) -> None:
    found = compiled(f'campaign.outcome == "flagged"\n&& {fact}')
    assert isinstance(found, list)
    assert [(one.line, "is refused" in one.what, why in one.what) for one in found] == [(2, True, True)]


def test_no_fact_that_there_is_would_be_refused() -> None:
    assert [fact for fact in (*CAMPAIGN, *ACCOUNT) if refusal(fact)] == []
    assert set(SAMPLE_CAMPAIGN) == set(CAMPAIGN) and set(SAMPLE_ACCOUNT) == set(ACCOUNT) and REFUSED


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("account.role ==\n=", 2, "no CEL at column 1"),
        ("1 +", 1, "no CEL"),
        ("", 1, "no CEL"),
        ("account.role", 1, "it gives no yes or no"),
        ("account.role > 3", 1, "it cannot be evaluated"),
        ("account.mood == 1", 1, "there is no fact account.mood"),
        ("account.role == role", 1, "there is no 'role'"),
        ("account == campaign", 1, "`account` stands alone"),
        ('[account].exists(a, a["country"] == "XX")', 1, "`account` stands alone"),
        ('account["country"] == "XX"', 1, "`account` stands alone"),
        ("campaign.families.exists(f, f == g)", 1, "there is no 'g'"),
        ("(" * 5_000, 1, "the condition has 5,000 characters"),
        ("(" * 3_000 + "1" + ")" * 900, 1, "no CEL"),
    ],
    ids=str,
)  # fmt: skip
def test_a_condition_that_cannot_hold_is_a_fault_with_its_line(text: str, line: int, said: str) -> None:
    found = compiled(text)
    assert isinstance(found, list) and found[0].line == line and said in found[0].what, found


@pytest.mark.parametrize(
    "text",
    [
        "campaign.families.exists(f, f == 'load') && account.role in ['core', 'fringe']",
        "account.role != 'account.country' // campaign.exchanges\n",
        'account.role != "\\"account.country" && size(campaign.families) >= 2',
        "account.role != '''\ncampaign\n'''",
        "campaign.p_value < 0.05 || !account.banned_before",
    ],
)
def test_names_in_strings_and_comments_are_no_facts(text: str) -> None:
    found = compiled(text)
    assert isinstance(found, Condition) and found.holds(SAMPLE_CAMPAIGN, SAMPLE_ACCOUNT)


def test_a_fact_that_is_not_known_decides_nothing() -> None:
    found = compiled("account.age_days < 90.0")
    assert isinstance(found, Condition)
    assert found.holds(SAMPLE_CAMPAIGN, {**SAMPLE_ACCOUNT, "age_days": None}) is None
    assert found.holds(SAMPLE_CAMPAIGN, {**SAMPLE_ACCOUNT, "age_days": 89}) is True
    assert found.holds(SAMPLE_CAMPAIGN, {**SAMPLE_ACCOUNT, "age_days": 90.5}) is False


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (HEAD + "x", 5, "no TOML"),
        (HEAD + '[[rules]]\nid = "a', 6, "no TOML"),
        (HEAD, 1, "the policy has no rule"),
        (HEAD + "lapse = 1\n" + RULE, 5, "unknown field `lapse`"),
        (HEAD.replace("version = 1", 'version = "1"') + RULE, 3, "Expected `int`"),
        (HEAD.replace("version = 1", "version = 0") + RULE, 3, "the version is below 1"),
        (HEAD + "lapse_hours = 1000\n" + RULE, 5, "1 to 168 hours"),
        (HEAD.replace("https", "gopher") + RULE, 4, "appeal_url is no address"),
        (HEAD + RULE + "weight = 3\n", 10, "unknown field `weight`"),
        (HEAD + RULE.replace('action = "notify"\n', ""), 5, "missing required field `action`"),
        (HEAD + RULE.replace('"notify"', '"poison"'), 8, "there is no action 'poison'"),
        (HEAD + RULE.replace('"notify"', '"budget"'), 5, "budget needs the bound"),
        (HEAD + RULE + "bound = { tokens_per_minute = 1 }\n", 10, "notify takes no bound"),
        (HEAD + RULE.replace('"notify"', '"budget"') + "bound = { tokens_per_minute = 0 }\n", 10, "is below 1"),
        (HEAD + RULE + "days = 181\n", 10, "1 to 180 days, not 181"),
        (HEAD + RULE.replace('"notify"', '"suspend"') + "approvals = 1\n", 10, "at least 2 persons, not 1"),
        (HEAD + RULE + 'mode = "maybe"\n', 10, "Invalid enum value"),
        (HEAD + RULE + RULE, 11, "another rule is called 'one'"),
        (HEAD.partition("appeal")[0] + RULE + 'mode = "enforce"\n', 9, "nobody could appeal"),
        (HEAD + RULE.replace('"one"', '"One!"'), 6, "is no id"),
        (
            HEAD + RULE.replace("'account.role", "'''\n\naccount.rule").replace('"core"\'', "\"core\"'''"),
            9,
            "account.rule",
        ),
        (HEAD + RULE + '[[examples]]\nname = "x"\ngives = "two"\n', 12, "there is no rule 'two'"),
        (HEAD + RULE + '[[examples]]\nname = "x"\ngives = "one"\naccount = { mood = 1 }\n', 13, "no fact account.mood"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) and " " in value and "\n" not in value else "",
)
def test_a_fault_has_its_line(text: str, line: int, said: str) -> None:
    found = faults(text)
    assert found[0][0] == line and said in found[0][1], found


def test_lines_are_counted_past_strings_of_several_lines() -> None:
    held = Lines('a = """\n[[rules]]\nwhen = 1\n"""\n[[rules]]\nx = """one""" # """\nwhen = 2\n')
    assert (held.of("", 0, "a"), held.of("rules", 0), held.of("rules", 0, "when")) == (1, 5, 7)


def test_all_faults_come_at_once_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    example = '[[examples]]\nname = "x"\ngives = "one"\n'
    path.write_text(HEAD + RULE.replace("account.role", "account.country") + "days = 0\n" + example)
    with pytest.raises(PolicyError) as error:
        read(path)
    assert error.value.__notes__[0].startswith(f"{path}:7: account.country is refused") and len(error.value.faults) == 2
    done = CliRunner().invoke(app, ["policy", "check", str(path)])
    assert (
        done.exit_code == 2 and "the policy has 2 faults" in done.output and f"{path}:10: a rule holds" in done.output
    )


def test_a_file_that_is_no_policy_is_refused_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    for data in (b"\xff\xfe", b"[" * 50_000, b"x" * (2 << 20), b""):
        path.write_bytes(data)
        done = CliRunner().invoke(app, ["policy", "check", str(path)])
        assert done.exit_code == 2 and "Error: " in done.output
    for place in (tmp_path, tmp_path / "none.toml"):
        assert CliRunner().invoke(app, ["policy", "check", str(place)]).exit_code == 2


def test_an_example_that_gives_another_rule_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(HEAD + RULE + '[[examples]]\nname = "fringe"\naccount = { role = "fringe" }\ngives = "one"\n')
    done = CliRunner().invoke(app, ["policy", "test", str(path)])
    assert done.exit_code == 3
    assert f"{path}:10: 'fringe' gives none, not one" in done.output


CANARY = '[canary]\naccount = "canary-1"\napproved_by = "ana"\n'


def test_a_policy_may_be_of_a_canary_alone_which_is_in_shadow_unless_it_says_otherwise() -> None:
    held = parsed((HEAD + CANARY).encode())
    assert isinstance(held, Policy) and held.canary and held.rules == ()
    assert (held.canary.account, held.canary.mode, held.canary.seconds) == ("canary-1", "shadow", 60)


@pytest.mark.parametrize(
    ("more", "line", "what"),
    [
        ("seconds = 301\n", 8, "1 to 300 seconds, not 301"),
        ("seconds = 0\n", 8, "1 to 300 seconds, not 0"),
        ('mode = "on"\n', 8, "Invalid enum value 'on'"),
        ("action = 1\n", 8, "unknown field `action`"),
        ('mode = "enforce"\n', 8, "nobody could appeal"),
    ],
)
def test_faults_of_a_canary_are_found_with_their_line(more: str, line: int, what: str) -> None:
    found = faults("\n" + HEAD.rpartition("appeal_url")[0] + CANARY + more)
    assert [(at, what in said) for at, said in found] == [(line, True)], found


def test_a_canary_acts_only_if_somebody_approved_it_and_its_account_is_one() -> None:
    bad = '[canary]\naccount = "my canary"\nmode = "enforce"\n'
    assert [line for line, _ in faults(HEAD + bad)] == [6, 7]


def test_rules_need_a_scan_to_be_published(tmp_path: Path) -> None:
    words = ["policy", "publish", str(EXAMPLE), "--out", str(tmp_path / "list")]
    ran = CliRunner().invoke(app, [*words, "--signing-key", "none", "--account-key", "none"])
    assert ran.exit_code == 2 and "no scan is named" in ran.output and not (tmp_path / "list").exists()
