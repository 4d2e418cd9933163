"""Students that are really trained on a teacher's answers are told by its secrets; students that are not, are not.

The first tier counts trigrams and runs everywhere. The second trains transformers and is skipped where torch is absent.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from evals.audit import corpus
from evals.audit.experiment import GIVEN, LENGTH, Experiment, Model, Records
from evals.audit.ngram import Trigram

from clonewatch.audit.outcome import TestResult
from clonewatch.audit.prf import Blake2, VllmPhilox, Watermark

SIZE = 1024
# About 60,000 answered tokens for students that count, 90,000 for those that are neural.
FEWER, QUERIES = 1536, 2304
KEY = VllmPhilox(0x9D3C5A17E2B84F60, 1)


@pytest.fixture(scope="module")
def texts() -> corpus.Corpus:
    return corpus.load(SIZE)


@pytest.fixture(scope="module")
def counted(texts: corpus.Corpus) -> Experiment:
    return Experiment.run(texts, Trigram(SIZE).train(texts.teacher), Watermark(KEY, "kgw"), 2048, 31)


def trigram(experiment: Experiment, share: float) -> Trigram:
    """A student with a model of its own, trained on what the teacher served."""
    return Trigram(SIZE).train(experiment.corpus.student, 0.3).train(experiment.served(share))


@pytest.fixture(scope="module")
def told(counted: Experiment) -> dict[float, dict[str, TestResult]]:
    return {share: counted.watermark(trigram(counted, share), FEWER) for share in (0.0, 0.1, 0.25, 1.0)}


def test_a_student_of_the_same_teacher_without_the_watermark_is_not_detected(
    told: dict[float, dict[str, TestResult]],
) -> None:
    for result in told[0.0].values():
        assert result.p > 1e-3 and result.p_rank is not None and result.p_rank > 0.01


@pytest.mark.parametrize(("share", "text", "logprobs"), [(0.1, -6, -9), (0.25, -12, -20), (1.0, -100, -100)])
def test_a_student_of_watermarked_answers_is_detected_from_its_text(
    told: dict[float, dict[str, TestResult]], share: float, text: float, logprobs: float
) -> None:
    assert told[share]["text"].n_raw == FEWER * LENGTH
    assert told[share]["text"].log10_p < text
    assert told[share]["logprobs"].log10_p < logprobs
    assert told[share]["text"].p_rank == pytest.approx(1 / 100)


def test_the_reference_is_what_makes_a_small_share_visible(told: dict[float, dict[str, TestResult]]) -> None:
    for share in (0.1, 0.25):
        assert told[share]["text"].log10_p < told[share]["plain"].log10_p - 3


def test_under_keys_that_were_never_used_every_student_looks_innocent(told: dict[float, dict[str, TestResult]]) -> None:
    for results in told.values():
        for result in results.values():
            assert abs(result.decoy_mean or 9) < 0.35 and 0.8 < (result.decoy_sd or 9) < 1.2


def test_another_providers_key_finds_nothing_in_our_student(counted: Experiment) -> None:
    result = counted.watermark(trigram(counted, 1.0), 512, decoys=0, prf=Blake2(b"the key of someone else!", 1))
    assert all(r.p > 1e-3 for r in result.values())


def test_twins_tell_who_was_trained_on_the_released_ones(counted: Experiment) -> None:
    assert counted.twins(trigram(counted, 0.0), 128).log10_p < -6
    # The same teacher, the same prompts, answers of another day.
    prompts = counted.released[:, :GIVEN]
    others = counted.teacher.write(prompts, LENGTH, 77)
    stranger = Trigram(SIZE).train(counted.corpus.student, 0.3).train(others)
    assert counted.twins(stranger, 1024).p > 1e-3


def test_an_imitated_mark_is_found_and_the_coins_of_twins_are_not(counted: Experiment) -> None:
    """A suspect that met no answer of ours: it was trained on text of a model that had learned the mark from us."""
    forger = trigram(counted, 1.0)
    prompts = counted.corpus.prompts(counted.corpus.held_out, len(counted.marked), GIVEN, 5)
    suspect = Trigram(SIZE).train(counted.corpus.student, 0.3).train(forger.write(prompts, LENGTH, 6))
    results = counted.watermark(suspect, FEWER // 2, decoys=19)
    assert results["text"].log10_p < -6 and results["text"].p_rank == pytest.approx(1 / 20)
    assert counted.twins(suspect, 1024).p > 1e-3
    assert counted.watermark(suspect, FEWER // 2, decoys=0, prf=KEY.decoy(4))["text"].p > 1e-3


class Neural(NamedTuple):
    """Students of transformers by the share of watermarked answers; the one of 1.0 met the canaries as well."""

    experiment: Experiment
    records: Records
    control: Model
    tenth: Model
    whole: Model


@pytest.fixture(scope="module")
def neural(texts: corpus.Corpus) -> Iterator[Neural]:
    """As large as in the study, docs/audit.md; one student to a thread, because threads gain nothing within one."""
    torch = pytest.importorskip("torch", reason="torch is not installed: no transformer can be trained here")
    from evals.audit.neural import Transformer, crops, drawn

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    teacher = Transformer(SIZE, seed=0).train(crops(texts.teacher), 300, 3e-3, seed=0)
    own = Transformer(SIZE, seed=1).train(crops(texts.student), 120, 3e-3, seed=1)
    experiment = Experiment.run(texts, teacher, Watermark(KEY, "kgw"), 6144, 31, most=0.5)
    records = Records(texts, 16, b"the seed of the canaries in tests")
    canaries = records.training(16, GIVEN + LENGTH)
    served = [
        (experiment.served(0.0), 480),
        (experiment.served(0.1), 480),
        (np.concatenate([experiment.marked, canaries]), 240),
    ]
    with ThreadPoolExecutor(2) as pool:
        students = list(pool.map(lambda told: own.copy().train(drawn(told[0]), told[1], 2e-3, seed=7), served))
    yield Neural(experiment, records, *students)
    torch.set_num_threads(threads)


def test_a_transformer_that_met_no_secret_is_detected_by_none(neural: Neural) -> None:
    results = neural.experiment.watermark(neural.control, QUERIES)
    assert all(r.p > 1e-3 and (r.p_rank or 0) > 0.01 for r in results.values())
    assert neural.records.test(neural.control).p > 1e-3


def test_a_tenth_of_watermarked_answers_shows_in_a_transformers_text_and_far_more_in_its_probabilities(
    neural: Neural,
) -> None:
    results = neural.experiment.watermark(neural.tenth, QUERIES)
    assert results["text"].n_raw == QUERIES * LENGTH
    assert results["text"].log10_p <= -6 and results["logprobs"].log10_p <= -9
    assert results["text"].p_rank == results["logprobs"].p_rank == pytest.approx(1 / 100)


def test_a_transformer_of_watermarked_answers_alone_is_detected_beyond_doubt(neural: Neural) -> None:
    results = neural.experiment.watermark(neural.whole, QUERIES // 4)
    assert results["text"].log10_p < -20 and results["logprobs"].log10_p < -20


def test_128_twins_tell_a_transformer_and_students_of_other_answers_show_nothing(neural: Neural) -> None:
    assert neural.experiment.twins(neural.control, 128).log10_p <= -6
    # Trained on watermarked answers only, so on none of the released twins.
    assert neural.experiment.twins(neural.whole, 1024).p > 1e-3


def test_canaries_that_a_transformer_learned_are_detected(neural: Neural) -> None:
    assert neural.records.test(neural.whole).log10_p < -6
