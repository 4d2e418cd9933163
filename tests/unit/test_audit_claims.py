"""What a report claims is what the procedure shows: no verdict without a control, no custody that nobody recorded, no
evidence from windows without a key, and every plan of the ledger."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.audit_stand import WORDS, Reply, honest, planned, standing, written

from clonewatch.audit import prf, watermark
from clonewatch.audit.committing import commit_vllm, watermark_of
from clonewatch.audit.folder import Folder
from clonewatch.audit.ledger import Ledger, Usage
from clonewatch.audit.prf import VllmAdditive, VllmPhilox, VllmPhiloxSingle, Watermark
from clonewatch.audit.run import collect, make_plan, read_plan, run_tests
from clonewatch.audit.samples import Sample
from clonewatch.audit.verification import verify, write_report
from clonewatch.model.errors import InputError

pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")
NOWHERE = "http://127.0.0.1:9/v1"
Behave = Callable[[str, dict[str, Any], int], Reply]


def green(keyed: Watermark, count: int, length: int, seed: int) -> list[str]:
    """Text that carries a green list of one token."""
    draw, texts = np.random.default_rng(seed), []
    everything = np.arange(len(WORDS))
    for _ in range(count):
        ids = [int(draw.integers(len(WORDS)))]
        while len(ids) < length:
            u = keyed.prf.uniform(np.full((len(WORDS), 1), ids[-1]), everything)
            ids.append(int(draw.choice(everything[u < keyed.gamma])))
        texts.append(" ".join(WORDS[i] for i in ids))
    return texts


def audited(place: Path, control: Behave, *, vllm: dict[str, Any] | None = None, more: str = "") -> tuple[Any, str]:
    """An audit of a suspect that writes the mark of the ledger's key, with its results and its report."""
    ledger = Ledger(place / "ledger.jsonl")
    if vllm:
        (place / "vllm.json").write_text(json.dumps(vllm), encoding="utf-8")
        commit_vllm(ledger, place / "vllm.json", Usage("2026-03-01", carriers=["case-9"]))
    marks: list[Watermark] = []

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        if model != "suspect":
            return control(model, body, number)
        told = green(marks[0], body["n"], body["max_tokens"], zlib.crc32(body["prompt"].encode()))
        return 200, {}, {"choices": [{"index": i, "text": text} for i, text in enumerate(told)]}

    with standing(behave) as (url, _):
        kept, ledger = planned(place, url, more=more)
        test = read_plan(kept)[0].tests[0]
        marks.append(watermark_of(test, ledger.secret(test.commitment)))
        collect(kept, ledger)
    results = run_tests(kept, ledger)
    text = write_report(kept, ledger, "")
    assert verify(kept, ledger) == []
    return results, " ".join(text.split())


SILENT: dict[str, Behave] = {
    "nothing": lambda model, body, number: (200, {}, {"choices": []}),
    "refusals": lambda model, body, number: (400, {}, {"error": "no"}),
    "empty texts": lambda model, body, number: (
        200,
        {},
        {"choices": [{"index": 0, "text": " "}, {"index": 1, "text": ""}]},
    ),
    "one word": lambda model, body, number: (200, {}, {"choices": [{"index": i, "text": WORDS[0]} for i in (0, 1)]}),
    "one sentence": lambda model, body, number: (
        200,
        {},
        {"choices": [{"index": i, "text": f"{WORDS[0]} {WORDS[1]} {WORDS[2]}"} for i in (0, 1)]},
    ),
    "one answer in twelve": lambda model, body, number: (
        honest(model, body, number) if body["prompt"].startswith(WORDS[0]) else (200, {}, {"choices": []})
    ),
}


@pytest.mark.parametrize("what", SILENT)
def test_a_control_that_gives_too_little_leaves_no_verdict(tmp_path: Path, what: str) -> None:
    results, text = audited(tmp_path, SILENT[what])
    row = results["tests"][0]
    assert row["log10_p_holm"] < -6 and row["level"] == "no verdict"
    assert "no verdict" in text.lower() and "shows none of the secrets" not in text and "strong evidence (" not in text


def test_a_control_that_works_is_reported_with_what_was_measured(tmp_path: Path) -> None:
    results, text = audited(tmp_path, honest)
    control = results["tests"][0]["control"]
    assert results["tests"][0]["level"] == "strong evidence"
    assert f"T1: tested on {control['n_distinct']:,} units, read from text; corrected p =" in text
    # The mark is found, and what it cannot say is said.
    assert "that the mark of this key is present" in text
    assert "nothing in this audit rules out that it is an imitation" in text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1"),
        ("http://127.0.0.1:9/v1", "http://localhost:9/v1/"),
        ("https://Host.example/v1", "https://host.example.:443/v1"),
    ],
)
def test_a_control_that_is_the_suspect_is_refused(tmp_path: Path, one: str, other: str) -> None:
    planned(tmp_path, NOWHERE)
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8")
    head = settings.partition("[suspect]")[0]
    told = f'[suspect]\nurl = "{one}"\nmodel = "a"\n[control]\nurl = "{other}"\nmodel = "a"\n'
    (tmp_path / "settings.toml").write_text(head + told, encoding="utf-8")
    with pytest.raises(InputError, match="the control is the suspect"):
        make_plan(tmp_path / "settings.toml", tmp_path / "again")


VLLM = {"algorithm": "red_green", "key": 0x1234567890ABCDEF, "context_width": 1, "gamma": 0.5}


def test_an_imported_key_is_never_called_drawn_at_random(tmp_path: Path) -> None:
    _, text = audited(tmp_path, honest, vllm=VLLM)
    assert "Strong evidence, if the imported key was chosen without knowledge of the suspect, (corrected p" in text
    assert "drawn at random by this program" not in text and "before it was used" not in text
    assert "imported: it existed before it was committed" in text and "does not show how it was chosen" in text
    assert "said to be used from 2026-03-01 on, before it was committed: nothing shows that it existed then" in text


def test_a_drawn_key_is_called_so_and_a_stated_day_before_it_is_contradicted(tmp_path: Path) -> None:
    _, text = audited(tmp_path, honest)
    assert "T1: drawn at random by this program when it was committed" in text
    assert "2026-03-01 on, which cannot be: it was drawn later" in text


def test_every_plan_of_a_ledger_is_in_every_report(tmp_path: Path) -> None:
    with standing(honest) as (url, _):
        first, ledger = planned(tmp_path, url)
        collect(first, ledger)
        run_tests(first, ledger)
        alone = write_report(first, ledger, "")
        first.path.rename(tmp_path / "first")
        first = Folder(tmp_path / "first")
        second, _ = planned(tmp_path, url, more="alpha = 0.0005")
        # The earlier report holds: it says up to which record it goes.
        assert verify(first, ledger) == [] and "The ledger holds 1 plan " in alone
        collect(second, ledger)
        run_tests(second, ledger)
    for kept in (first, second):
        text = write_report(kept, ledger, "")
        assert "The ledger holds 2 plans" in text and "multiply each by 2" in text
        assert all(read_plan(other)[1][:16] in text for other in (first, second))
        assert verify(kept, ledger) == []


@pytest.mark.parametrize("looks", [1, 3])
def test_the_rank_among_decoys_is_always_there_and_text_aimed_at_keyless_windows_finds_nothing(
    tmp_path: Path, looks: int
) -> None:
    """The window of the first word sums to zero: under any key its numbers are the same."""
    same = VllmAdditive(1, 1).uniform(np.zeros((len(WORDS), 1), np.int64), np.arange(len(WORDS)))
    aimed = [WORDS[i] for i in np.flatnonzero(same < 0.5)]

    def behave(model: str, body: dict[str, Any], number: int) -> Reply:
        told = written(body, number)
        if model == "suspect":
            for choice in told["choices"]:
                choice["text"] = " ".join(f"{WORDS[0]} {word}" for word in aimed)
        return 200, {}, told

    config = {"algorithm": "sbw", "sbw_scheme": "lefthash", "key": 0xABCDEF0123456789}
    (tmp_path / "vllm.json").write_text(json.dumps(config), encoding="utf-8")
    commit_vllm(Ledger(tmp_path / "ledger.jsonl"), tmp_path / "vllm.json", Usage())
    with standing(behave) as (url, _):
        kept, ledger = planned(tmp_path, url, more=f"looks = {looks}")
        collect(kept, ledger)
    told = run_tests(kept, ledger)["tests"][0]["suspect"]
    assert told["p_rank"] is not None and told["log10_p"] > -3
    assert any("do not depend on any key" in note for note in told["notes"])


@pytest.mark.parametrize("width", [1, 2, 3])
def test_windows_that_sum_to_zero_are_left_out_and_all_others_stay(width: int) -> None:
    keyed = VllmAdditive(77, width)
    zeros, others = Sample(np.zeros(40, np.int64)), Sample(np.arange(1, 41))
    with pytest.raises(InputError, match="no window depends on the key"):
        watermark.tally([zeros], keyed)
    counted = watermark.tally([zeros, others], keyed)
    assert counted.keyless == 40 - width and len(counted.token) == 40 - width


def test_a_plan_tells_which_of_the_mappings_of_one_name_served_our_text(tmp_path: Path) -> None:
    planned(tmp_path, NOWHERE)
    (tmp_path / "ledger.jsonl").unlink()
    ledger = Ledger(tmp_path / "ledger.jsonl")
    (tmp_path / "vllm.json").write_text(json.dumps(VLLM), encoding="utf-8")
    commitment = commit_vllm(ledger, tmp_path / "vllm.json", Usage())
    settings = (tmp_path / "settings.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text('served = "served.jsonl"\n' + settings, encoding="utf-8")
    for mapping in (VllmPhilox, VllmPhiloxSingle):
        texts = green(Watermark(mapping(VLLM["key"], 1), "kgw", 0.5), 20, 40, 3)
        rows = [{"prompt": "", "text": text, "commitment": commitment} for text in texts]
        (tmp_path / "served.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
        test = make_plan(tmp_path / "settings.toml", tmp_path / mapping.__name__)[0].tests[0]
        assert test.confirmed and test.public["prf"] == mapping.name
        assert type(watermark_of(test, ledger.secret(commitment)).prf) is mapping


def test_the_two_mappings_of_one_name_are_independent() -> None:
    window, token = np.arange(4000).reshape(-1, 1), np.arange(4000) % 97
    one, other = (mapping(42, 1).uniform(window, token) for mapping in (VllmPhilox, VllmPhiloxSingle))
    # Every fourth token is the first of its block in both, and drawn by another counter.
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06 and 0 < other.min() and other.max() < 1
    assert [type(p.decoy(0)) for p in (VllmPhilox(1), VllmPhiloxSingle(1))] == [VllmPhilox, VllmPhiloxSingle]


def test_a_key_that_hardly_acts_is_refused() -> None:
    for key in (0, 2**63, 2**40):
        with pytest.raises(InputError, match="is 0, or so many of its bits"):
            prf.vllm_watermark({"key": key})
