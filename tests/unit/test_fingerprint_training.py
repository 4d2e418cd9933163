"""The shipped weights are what the training material gives."""

import json
from importlib import resources

import numpy as np
import pyarrow as pa

from clonewatch.fingerprints import classifier, train
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.scoring import OUTPUTS, WORDS
from clonewatch.model.schema import TASKS


def test_the_shipped_weights_can_be_made_again() -> None:
    made = train.train()
    place = resources.files("clonewatch.fingerprints").joinpath(classifier.WEIGHTS)
    with place.open("rb") as file, np.load(file) as shipped:
        assert set(shipped.files) - {"allow_pickle"} == set(made)
        for name in ("function_words", "formal_words", "phrases", "demands_json"):
            assert (shipped[name] == made[name]).all(), name
        # Another processor may round the last digit of a fit otherwise: at most one step of 127, and rarely.
        off = np.abs(shipped["weights"].astype(int) - made["weights"].astype(int))
        assert off.max() <= 1 and (off > 0).mean() < 0.01
        assert np.allclose(shipped["scales"], made["scales"], rtol=1e-3)


def test_the_weights_are_small_and_hold_an_output_a_task_and_one_more() -> None:
    place = resources.files("clonewatch.fingerprints").joinpath(classifier.WEIGHTS)
    assert len(place.read_bytes()) < 300_000
    lexicon = classifier.lexicon()
    assert lexicon.weights.any(axis=0).tolist() == [True] * WORDS
    assert (lexicon.scales > 0).tolist() == [True] * OUTPUTS


def test_training_prompts_have_no_slot_left_open() -> None:
    draw = train.random.Random(1)
    place = resources.files("clonewatch.fingerprints").joinpath("training")
    tasks, demands = train._toml(place, "tasks.toml"), train._toml(place, "elicitation.toml")
    prompts, labels = train.task_prompts(tasks, train._toml(place, "asides.toml"), draw)
    sides = train.elicitation_prompts(demands, tasks, draw)
    assert not [p for p in prompts + [text for text, _ in sides] if "{" in p and train._SLOT.search(p)]
    assert np.bincount(labels).tolist() == [train.PROMPTS_A_TASK] * len(TASKS)
    assert len(train._toml(place, "forms.toml")["phrases"]) <= 64


def test_remarks_around_a_request_do_not_decide_its_task() -> None:
    asked = [
        ("software_engineering", "Write a Go function that checks whether a word is a palindrome."),
        ("chat", "What do you think about jazz?"),
        ("reasoning", "Prove that the sum of two odd numbers is even."),
        ("data_analysis", "Compute the correlation of the columns of this dataset and plot a histogram."),
    ]
    remarks = (
        "We have 12 days left and a tight budget. There are 40 of us and my brother tried it before. Thanks a lot!"
    )
    texts = [f"{text} {remarks}" for _, text in asked]
    messages = [f'[{{"role": "user", "content": "{text}"}}]' for text in texts]
    made = Fingerprinter(bytes(32)).apply(pa.record_batch({"messages": pa.array(messages)}))
    assert made["task"].to_pylist() == [task for task, _ in asked]


def test_length_alone_is_no_demand_for_reasoning() -> None:
    draw = train.random.Random(3)
    tasks = train._toml(resources.files("clonewatch.fingerprints").joinpath("training"), "tasks.toml")
    patterns = [p for t in TASKS for p in tasks[t]["patterns"]]
    texts = [" ".join(train.fill(draw.choice(patterns), tasks["slots"], draw) for _ in range(25)) for _ in range(200)]
    messages = [json.dumps([{"role": "user", "content": text}]) for text in texts]
    made = Fingerprinter(bytes(32)).apply(pa.record_batch({"messages": pa.array(messages)}))
    assert np.mean(made["elicitation"].to_numpy() >= 0.5) <= 0.03
