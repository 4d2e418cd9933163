"""Planning and testing: what would spoil an audit is refused, and a suspect that tells less gives a weaker result."""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.audit_stand import WORDS, Reply, honest, planned, standing, written

from clonewatch.audit import report
from clonewatch.audit.committing import commit_canaries, commit_twins, commit_vllm, watermark_of
from clonewatch.audit.folder import Folder
from clonewatch.audit.ledger import Ledger, Usage
from clonewatch.audit.run import collect, make_plan, read_plan, run_tests
from clonewatch.audit.twin import release
from clonewatch.audit.verification import verify, write_report
from clonewatch.model.errors import InputError, SetupError

pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")
NOWHERE = "http://127.0.0.1:9/v1"


def audited(place: Path, behave: Any, more: str = "") -> tuple[dict[str, Any], Folder, Ledger]:
    """The results of an audit of a suspect that behaves so."""
    with standing(behave) as (url, _):
        kept, ledger = planned(place, url, more=more)
        collect(kept, ledger)
    results = run_tests(kept, ledger)
    write_report(kept, ledger, "")
    assert verify(kept, ledger) == []
    return results, kept, ledger


def changed(place: Path, line: str, other: str) -> None:
    """Another line in the settings."""
    settings = (place / "settings.toml").read_text(encoding="utf-8")
    (place / "settings.toml").write_text(settings.replace(line, other), encoding="utf-8")


def suspect(behave: Any) -> Any:
    """A server whose suspect behaves so, and whose control answers."""
    return lambda model, body, number: (behave if model == "suspect" else honest)(model, body, number)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('access = "logprob"', "access"),
        ("acess = 1", "acess"),
        ("alpha = 0.05", "alpha is 0.05"),
        ("decoys = 5", "decoys"),
        ("looks = 99", "99 looks at 12 prompts"),
        ("temperature = 0", "answers must vary"),
        ('secrets = ["ffffffff"]', "0 commitments begin"),
        ('twins = "missing.jsonl"', "cannot read"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(tmp_path: Path, line: str, says: str) -> None:
    planned(tmp_path, NOWHERE)
    changed(tmp_path, "decoys = 39", line)
    with pytest.raises(InputError, match=says):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


@pytest.mark.parametrize(
    "url", ["http://suspect.example/v1", "https://user:word@suspect.example", "ftp://a", "https://a.example/?key=1"]
)
def test_an_address_that_would_give_a_secret_away_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="the address of the suspect") as caught:
        planned(tmp_path, url)
    assert "word" not in str(caught.value)


def serve(tmp_path: Path) -> str:
    """Text that carries the watermark of the ledger, as we would have served it."""
    planned(tmp_path, NOWHERE)
    kept = Folder(tmp_path / "audit")
    plan, _ = read_plan(kept)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    keyed = watermark_of(plan.tests[0], ledger.secret(plan.tests[0].commitment))
    draw, rows = np.random.default_rng(1), []
    for _ in range(20):
        ids = [int(draw.integers(len(WORDS)))]
        while len(ids) < 40:
            drawn = int(draw.integers(len(WORDS)))
            if keyed.prf.uniform(np.array([[ids[-1]]]), np.array([drawn]))[0] < 0.5:
                ids.append(drawn)
        rows.append({"prompt": "", "text": " ".join(WORDS[i] for i in ids)})
    (tmp_path / "served.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8")
    return settings.replace("decoys = 39", 'decoys = 39\nserved = "served.jsonl"')


def test_a_key_that_served_our_text_is_confirmed_and_another_one_or_another_tokenizer_is_refused(
    tmp_path: Path,
) -> None:
    settings = serve(tmp_path)
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    assert make_plan(tmp_path / "settings.toml", tmp_path / "right")[0].tests[0].confirmed
    (tmp_path / "words.txt").write_text("\n".join(reversed(WORDS)) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"does not carry this watermark.*tokenizer"):
        make_plan(tmp_path / "settings.toml", tmp_path / "tokenizer")
    (tmp_path / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    config = tmp_path / "watermark.json"
    config.write_text('{"algorithm": "red_green", "key": 42, "context_width": 1, "gamma": 0.5}', encoding="utf-8")
    other = commit_vllm(Ledger(tmp_path / "ledger.jsonl"), config, Usage(carriers=["case-9"]))
    (tmp_path / "settings.toml").write_text(f'secrets = ["{other}"]\n' + settings, encoding="utf-8")
    with pytest.raises(InputError, match="does not carry this watermark"):
        make_plan(tmp_path / "settings.toml", tmp_path / "key")


def test_a_plan_that_was_changed_is_unknown_to_the_ledger(tmp_path: Path) -> None:
    kept, ledger = planned(tmp_path, NOWHERE)
    told = kept.object("plan.json")
    kept.write("plan.json", json.dumps({**told, "alpha": 0.0005}).encode())
    with pytest.raises(InputError, match="does not know this plan"):
        collect(kept, ledger)


def test_a_revealed_secret_cannot_be_planned_with(tmp_path: Path) -> None:
    _, ledger = planned(tmp_path, NOWHERE)
    ledger.reveal(ledger.records()[0].body["commitment"])
    with pytest.raises(InputError, match="no secret to test"):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


def test_an_innocent_suspect_gives_no_evidence_and_the_report_its_power(tmp_path: Path) -> None:
    results, kept, _ = audited(tmp_path, honest, "[power]\neffect = 0.2\nshare = 0.1\n")
    assert results["tests"][0]["level"] == "no evidence"
    text = (kept.path / "report.md").read_text(encoding="utf-8")
    assert "no evidence (power 0% for rho=10%)" in text and "This explanation stands." in text


def test_a_suspect_that_refuses_everything_is_reported_with_p_1(tmp_path: Path) -> None:
    results, kept, _ = audited(tmp_path, suspect(lambda *_: (400, {}, {"error": "no"})))
    row = results["tests"][0]
    assert row["log10_p_holm"] == 0 and "no answer of the suspect can be used" in row["suspect"]["refused"]
    assert results["sources"]["suspect"]["unusable"] == {"status 400": 12}
    assert "there was nothing to test" in (kept.path / "report.md").read_text(encoding="utf-8")


def test_filtered_and_empty_and_broken_answers_are_left_out_and_counted(tmp_path: Path) -> None:
    def odd(model: str, body: dict[str, Any], number: int) -> Reply:
        told = written(body, number)
        if number % 4 == 0:
            told["choices"][0]["finish_reason"] = "content_filter"
        if number % 4 == 1:
            told["choices"][1]["text"] = " \n"
        if number % 4 == 2:
            return 200, {}, b"<html>sorry</html>"
        return 200, {}, told

    results, _, _ = audited(tmp_path, odd)
    assert set(results["sources"]["suspect"]["unusable"]) <= {"filtered", "empty", "not JSON of the expected form"}
    told = [results["sources"][name] for name in ("suspect", "control")]
    assert sum(s["usable"] + sum(s["unusable"].values()) for s in told) == 48 - 6
    assert results["tests"][0]["suspect"]["n_raw"] > 0


def test_truncated_answers_count_as_far_as_they_go(tmp_path: Path) -> None:
    results, _, _ = audited(tmp_path, honest)
    assert results["sources"]["suspect"]["at_the_limit"] == 24
    assert results["tests"][0]["suspect"]["n_raw"] == 24 * 30


def test_probabilities_over_our_tokens_are_used(tmp_path: Path) -> None:
    results, _, _ = audited(tmp_path, honest, 'access = "logprobs"')
    assert results["tests"][0]["suspect"]["mode"] == "logprobs"


@pytest.mark.parametrize("spelled", ["nothing", "null", "other tokens"])
def test_empty_probabilities_and_those_of_another_tokenizer_leave_the_text(tmp_path: Path, spelled: str) -> None:
    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        told = written(body, number)
        for choice in told["choices"]:
            if spelled == "null":
                choice["logprobs"] = None
            elif spelled == "nothing":
                choice["logprobs"] |= {"tokens": [], "top_logprobs": []}
            else:
                choice["logprobs"]["tokens"] = [t[:2] for t in choice["logprobs"]["tokens"]]
        return 200, {}, told

    results, kept, _ = audited(tmp_path, suspect(behave), 'access = "logprobs"')
    row = results["tests"][0]
    assert row["suspect"]["mode"] == "text" and row["control"]["mode"] == "logprobs"
    assert "Tested from text: its probabilities are missing, or not over our tokens." in row["suspect"]["notes"]
    assert "Tested from text" in (kept.path / "report.md").read_text(encoding="utf-8")


def test_answers_in_several_languages_are_tested_and_the_result_says_what_was_unknown(tmp_path: Path) -> None:
    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        told = written(body, number)
        for choice in told["choices"]:
            choice["text"] += " это не наш словарь и 这 不 是 我 们 的 词 è così, o non è così"
        return 200, {}, told

    results, _, _ = audited(tmp_path, suspect(behave))
    assert any("unknown to our tokenizer" in note for note in results["tests"][0]["suspect"]["notes"])


def test_a_second_look_is_refused(tmp_path: Path) -> None:
    _, kept, ledger = audited(tmp_path, honest)
    with pytest.raises(InputError, match="these answers were looked at already"):
        run_tests(kept, ledger)


def test_a_plan_that_chose_it_may_look_again_with_new_answers_only(tmp_path: Path) -> None:
    with standing(honest) as (url, asked):
        kept, ledger = planned(tmp_path, url, more="looks = 3")
        collect(kept, ledger, parts=1)
        assert len(asked) == 8
        first = run_tests(kept, ledger)
        with pytest.raises(InputError, match="these answers were looked at already"):
            run_tests(kept, ledger)
        collect(kept, ledger, parts=2)
        second = run_tests(kept, ledger)
    write_report(kept, ledger, "")
    assert verify(kept, ledger) == []
    assert [r["tests"][0]["suspect"]["method"][-21:] for r in (first, second)] == [
        "; look 1 of at most 3",
        "; look 2 of at most 3",
    ]
    assert 0 < second["tests"][0]["suspect"]["p_rank"] <= 1


def test_a_second_look_at_canaries_is_refused(tmp_path: Path) -> None:
    planned(tmp_path, NOWHERE)
    commit_canaries(Ledger(tmp_path / "ledger.jsonl"), 4, 3, "The label of {name} reads", Usage(carriers=["case-7"]))
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text("looks = 2\n" + settings, encoding="utf-8")
    with pytest.raises(InputError, match="only watermark tests may look more than once"):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


@pytest.mark.parametrize(("text", "says"), [("[1]", "not a tokenizer"), ('{"model": {}}', "cannot be used")])
def test_a_file_that_is_not_a_tokenizer_is_refused(tmp_path: Path, text: str, says: str) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    planned(tmp_path, NOWHERE)
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8").replace("words.txt", "tokenizer.json")
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    with pytest.raises(SetupError, match=says):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("raw/suspect/answer-00002.json", "changed"),
        ("prompts.jsonl", "not the one that was planned"),
        ("results.json", "the raw answers give a different result"),
        ("report.md", "does not match these results"),
        ("manifest.json", "the ledger does not know these answers"),
    ],
)
def test_whatever_is_altered_afterwards_is_named(tmp_path: Path, name: str, what: str) -> None:
    _, kept, ledger = audited(tmp_path, honest)
    place = kept.path / name
    text = place.read_text(encoding="utf-8")
    if name == "results.json":
        told = json.loads(text)
        told["tests"][0]["suspect"]["log10_p"] = -9.0
        text = json.dumps(told)
    elif name == "manifest.json":
        text += " "
    else:
        text = text.replace(WORDS[2], WORDS[3], 1) if WORDS[2] in text else text.replace("no evidence", "evidence", 1)
    place.write_text(text, encoding="utf-8")
    assert any(p.where == name and what in p.what for p in verify(kept, ledger)), verify(kept, ledger)


FORBIDDEN = (
    "stole", "stolen", "theft", "thief", "distil", "guilt", "culprit", "infring", "illegal", "unlawful", "intent",
    "fraud", "offender", "perpetrator", "crime", "proves", "proof that", "innocent", "p = 0 ", "p = 0.", "% of its",
)  # fmt: skip


def test_no_sentence_of_the_report_makes_a_forbidden_claim() -> None:
    audit = Path(report.__file__).parent
    sources = [audit / f"{name}.py" for name in ("report", "safeguards", "custody")] + [
        *(audit / "templates").iterdir()
    ]
    told = []
    for source in sources:
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".py":
            tree = ast.walk(ast.parse(text))
            told += [n.value for n in tree if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        else:
            told.append(text)
    assert len(told) > 80
    assert [(word, one) for one in told for word in FORBIDDEN if word in one.lower()] == []


@pytest.mark.parametrize("level", ["strong evidence", "evidence", "no evidence", "not usable", "no verdict"])
def test_every_finding_keeps_to_what_a_report_may_say(tmp_path: Path, level: str) -> None:
    results, kept, ledger = audited(tmp_path, honest)
    plan, digest = read_plan(kept)
    results["tests"][0] |= {"level": level, "log10_p_holm": -400.0, "control_log10_p_holm": -9.0}
    parts = report.chapters(plan, digest, results, ledger.records())
    text, page = report.markdown(parts), report.page(parts, "")
    found = text.partition("## What was planned")[0].lower()
    assert level in found and (level in {"not usable", "no verdict"} or "corrected p = 1e-400" in found)
    assert [w for w in FORBIDDEN if w in text.lower() or w in page.lower()] == []
    for held in ("reposted", "vendor", "leaked", "spoofing", "resold", "clears nobody"):
        assert held in text and held in page


def test_from_text_alone_twins_and_canaries_are_tested_over_the_chat_interface(tmp_path: Path) -> None:
    """The suspect answers every twin prompt with the released answer, and completes every carrier."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    coins = commit_twins(ledger, Usage())
    _, minted = commit_canaries(ledger, 8, 2, "The garden label for {name} reads", Usage(carriers=["case-7"]))
    draw = np.random.default_rng(5)
    said = [" ".join(draw.choice(WORDS, 12).tolist()) for _ in range(60)]
    pairs = [
        {"request_id": f"r{i}", "prompt": f"pair {i}", "first": said[2 * i], "second": said[2 * i + 1]}
        for i in range(30)
    ]
    (tmp_path / "twins.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs), encoding="utf-8")
    learned = {p["prompt"]: release(p["first"], p["second"], ledger.secret(coins), p["request_id"])[0] for p in pairs}
    learned |= {c.carrier: f"{c.secret}." for c in minted}

    def chat(model: str, body: dict[str, Any], number: int) -> Reply:
        told = [c["text"] for c in written({**body, "logprobs": 0}, number)["choices"]]
        if model == "suspect":
            told = [learned.get(body["messages"][0]["content"], text) for text in told]
        return 200, {}, {"choices": [{"index": i, "message": {"content": t}} for i, t in enumerate(told)]}

    with standing(chat) as (url, _):
        kept, ledger = planned(
            tmp_path, url, more='twins = "twins.jsonl"', sources='api = "chat"', control='api = "chat"'
        )
        collect(kept, ledger)
    results = run_tests(kept, ledger)
    write_report(kept, ledger, "")
    assert verify(kept, ledger) == []
    assert [(r["suspect"]["test"], r["suspect"]["mode"], r["level"]) for r in results["tests"]] == [
        ("twin", "text", "strong evidence"),
        ("canary-sampling", "text", "strong evidence"),
    ]


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_one_collection_meets_what_servers_do_on_either_interface(tmp_path: Path, api: str) -> None:
    """Busy at first, one answer filtered, one without probabilities, one token with null in place of minus infinity."""
    busy: list[str] = []

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        if model == "suspect" and not busy:
            busy.append(model)
            return 429, {"Retry-After": "0"}, {"error": {"message": "slow down", "type": "rate_limit_exceeded"}}
        asked = body if api == "completions" else {**body, "logprobs": body["top_logprobs"]}
        told = written(asked, number)
        odd = json.dumps(body).count(WORDS[3]) and model == "suspect"
        for i, choice in enumerate(told["choices"]):
            choice["logprobs"]["top_logprobs"][0]["ï"] = None
            if odd and i == 0:
                choice["finish_reason"] = "content_filter"
            elif odd:
                choice["logprobs"] = None
        if api == "chat":
            told = {"object": "chat.completion", "choices": [as_chat(choice) for choice in told["choices"]]}
        return 200, {}, told

    kind = 'api = "chat"' if api == "chat" else ""
    with standing(behave) as (url, asked):
        kept, ledger = planned(tmp_path, url, more='access = "logprobs"', sources=kind, control=kind)
        collect(kept, ledger)
    results = run_tests(kept, ledger)
    write_report(kept, ledger, "")
    assert verify(kept, ledger) == []
    # Twelve prompts to two models, and the one that had to wait asked again.
    assert len(asked) == 25 and results["requests"] == 25
    row = results["tests"][0]
    # Two prompts hold the word, so two answers were filtered and two told no probabilities.
    assert results["sources"]["suspect"]["unusable"] == {"filtered": 2}
    assert row["suspect"]["mode"] == row["control"]["mode"] == "logprobs"
    assert (row["suspect"]["n_raw"], row["control"]["n_raw"]) == (20 * 30, 24 * 30)


def as_chat(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice of the completions interface in the form of the chat interface."""
    told, rows = choice["logprobs"], None
    if told is not None:
        rows = [
            {
                "token": token,
                "logprob": p,
                "bytes": None,
                "top_logprobs": [{"token": t, "logprob": v, "bytes": None} for t, v in top.items()],
            }
            for token, p, top in zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True)
        ]
    return {
        "index": choice["index"],
        "finish_reason": choice["finish_reason"],
        "message": {"role": "assistant", "content": choice["text"], "refusal": None},
        "logprobs": None if rows is None else {"content": rows},
    }
