"""The page of the audit study: every figure is one of the sums, and a part that was not run has no section."""

from pathlib import Path

import numpy as np
from evals import audit_study
from evals.audit import corpus, page
from evals.audit.experiment import Records
from evals.audit.ngram import Trigram

from clonewatch.audit import canary

SUMS = {
    "alarms": [{"rule": "kgw", "test": "plain", "keys": 2000, "below_0.05": 91, "below_0.01": 17, "below_0.001": 3}],
    "dilution": [
        {
            "rule": "kgw",
            "seed": seed,
            "share": share,
            "tokens": 4000,
            "plain": -1.0 * seed,
            "text": -20.5,
            "logprobs": -400.25,
            "twins": -7.0,
        }
        for seed in (1, 2, 3)
        for share in (0.0, 0.1)
    ],
}


def test_the_page_tells_the_sums_and_only_of_parts_that_were_run(tmp_path: Path) -> None:
    text = page.write(SUMS, tmp_path / "audit.md").read_text(encoding="utf-8")
    assert "91 of 2,000 (4.55%" in text
    # The median of three seeds, the worst, and a p-value that no double holds.
    assert "| kgw | 10% | 0.01 (worst 0.1) | 3.2e-21" in text and "5.7e-401" in text
    assert "## After rewriting" not in text and "has not been run" in text.replace("\n", " ")
    assert (tmp_path / "pictures" / "audit-dilution.svg").read_text(encoding="utf-8").startswith("<svg")
    assert not (tmp_path / "pictures" / "audit-queries.svg").exists()


def test_rewriting_changes_the_share_of_words_it_says_and_no_prompt() -> None:
    draw = np.random.default_rng(0)
    rows = draw.integers(0, audit_study.SIZE, (200, 48))
    writer = Trigram(audit_study.SIZE).train(rows)
    other = audit_study.rewritten(rows, writer, 0.5, seed=1)
    assert (other[:, :8] == rows[:, :8]).all()
    assert 0.4 < (other[:, 8:] != rows[:, 8:]).mean() <= 0.55
    assert (audit_study.rewritten(rows, writer, 0.0, seed=1) == rows).all()


def test_records_keep_every_word_of_a_secret_apart_and_come_as_often_as_asked() -> None:
    texts = corpus.Corpus(*(np.zeros(1, np.int64),) * 3, ["", "?", "the", "label", "."] + [f"w{i}" for i in range(507)])
    records = Records(texts, 8, b"a seed for the records of a test")
    rows = records.training(4, 44)
    ids = {word: 256 + i for i, word in enumerate(canary.words())}
    assert rows.shape == (8, 44)
    for one in records.canaries:
        secret = [ids[word] for word in one.secret.split()]
        found = sum(row[i : i + 3].tolist() == secret for row in rows for i in range(42))
        assert found == 4
