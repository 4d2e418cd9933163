"""Trains the shipped weights from the training material: `python -m clonewatch.fingerprints.train`.

Multinomial logistic regression for the task and a logistic regression for elicitation, over hashed words and word
pairs, fitted with L-BFGS. The same material, seed and libraries give the same file.
"""

import random
import re
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_softmax

from clonewatch.fingerprints.classifier import WEIGHTS
from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.hashing import stir_all
from clonewatch.kernels.scoring import FACTS, features, words
from clonewatch.model.schema import TASKS

Floats = npt.NDArray[np.float64]

BUCKETS = 1 << 14
SEED = 20260
PROMPTS_A_TASK = 2000
PROMPTS_A_SIDE = 3000  # of elicitation
# Regularisation strength; the material is small and regular, so it would otherwise be memorised.
PENALTY_TASK, PENALTY_ELICITATION = 5e-5, 2e-5
# A false alarm weighs as much as this many missed demands: honest prompts are far more frequent in real logs.
ORDINARY = 9.0
# Share of the task material that is put among remarks which say nothing about the task (`asides.toml`), and how much of
# that is put below the house rules of a product instead.
SURROUNDED, RULED = 0.7, 0.25
# Share of long prompts, and the most ordinary sentences added to them: length is not a demand.
LONG, LONG_DEMAND, LONG_ORDINARY = 0.3, 6, 30
# People type in lower case and leave out the full stop; half of the material imitates that.
CARELESS = 0.5
_SLOT = re.compile(r"\{(\w+)\}")


def train() -> dict[str, npt.NDArray[Any]]:
    """The arrays of the weights file, as `classifier.unpack` reads them."""
    place = resources.files("clonewatch.fingerprints").joinpath("training")
    tasks = _toml(place, "tasks.toml")
    demands = _toml(place, "elicitation.toml")
    forms = _toml(place, "forms.toml")
    draw = random.Random(SEED)  # noqa: S311 - sampling of training material, no secret
    prompts, labels = task_prompts(tasks, _toml(place, "asides.toml"), draw)
    weights = np.zeros((BUCKETS + FACTS, len(TASKS) + 1))
    weights[:, : len(TASKS)] = _fit_tasks(features_of(prompts), labels)
    sides = elicitation_prompts(demands, tasks, draw)
    weights[:, len(TASKS)] = fit_elicitation(features_of([text for text, _ in sides]), np.array([y for _, y in sides]))
    scales = np.abs(weights).max(axis=0) / 127
    listed = place.joinpath("function_words.txt").read_text(encoding="utf-8")
    listed = "\n".join(line for line in listed.splitlines() if not line.startswith("#"))
    pairs = _hashed(forms["phrases"])
    return {
        "weights": np.rint(weights / scales).astype(np.int8),
        "scales": scales.astype(np.float32),
        "function_words": np.unique(np.array([w for line in _hashed(listed.split()) for w in line], np.uint64)),
        "formal_words": np.unique(
            np.array(
                [line[0] for line in pairs] + [w for line in _hashed(forms["demands_json"]) for w in line], np.uint64
            )
        ),
        "phrases": np.unique(np.array([_pair(line[0], line[1]) for line in pairs], np.uint64)),
        "demands_json": np.unique(np.array([w for line in _hashed(forms["demands_json"]) for w in line], np.uint64)),
    }


def task_prompts(
    tasks: dict[str, Any], asides: dict[str, Any], draw: random.Random
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Equally many prompts for every task, and the task of each as its index in TASKS."""
    prompts, labels = [], []
    for label, task in enumerate(TASKS):
        patterns = tasks[task]["patterns"]
        for k in range(PROMPTS_A_TASK):
            asked = fill(patterns[k % len(patterns)], tasks["slots"], draw)
            if draw.random() < SURROUNDED:
                asked = _surrounded(asked, asides, draw)
            prompts.append(_careless(asked, draw))
            labels.append(label)
    return prompts, np.array(labels)


def _surrounded(asked: str, asides: dict[str, Any], draw: random.Random) -> str:
    """A request among remarks, as people and products write them."""
    if draw.random() < RULED:
        parts = [*draw.sample(asides["rules"], draw.randint(1, 5)), asked]
    else:
        parts = [asked, *draw.sample(asides["details"], draw.randint(0, 3))]
        if draw.random() < 0.5:
            parts.insert(0, draw.choice(asides["before"]))
        if draw.random() < 0.5:
            parts.append(draw.choice(asides["after"]))
    return draw.choice((" ", "\n", " ", ", ")).join(fill(part, asides["slots"], draw) for part in parts)


def elicitation_prompts(demands: dict[str, Any], tasks: dict[str, Any], draw: random.Random) -> list[tuple[str, float]]:
    """Prompts that demand a trace (1.0), and as many that do not (0.0): half similar ones, half of any task."""
    slots = tasks["slots"] | demands["slots"]
    any_task = [pattern for task in TASKS for pattern in tasks[task]["patterns"]]
    positive, negative = demands["positive"]["patterns"], demands["negative"]["patterns"]

    def prompt(pattern: str, longest: int) -> str:
        parts = [pattern.replace("{task}", draw.choice(any_task))]
        if draw.random() < LONG:
            parts += [draw.choice(draw.choice((negative, any_task))) for _ in range(draw.randint(2, longest))]
            draw.shuffle(parts)
        return _careless(fill(draw.choice(" \n").join(parts), slots, draw), draw)

    sides = []
    for k in range(PROMPTS_A_SIDE):
        sides.append((prompt(positive[k % len(positive)], LONG_DEMAND), 1.0))
        sides.append((prompt(negative[k // 2 % len(negative)] if k % 2 else draw.choice(any_task), LONG_ORDINARY), 0.0))
    return sides


def _toml(place: Traversable, name: str) -> dict[str, Any]:
    return tomllib.loads(place.joinpath(name).read_text(encoding="utf-8"))


def fill(pattern: str, slots: dict[str, list[str]], draw: random.Random) -> str:
    """A pattern with each slot filled by one of its words."""
    return _SLOT.sub(lambda m: draw.choice(slots[m.group(1)]), pattern)


def _careless(prompt: str, draw: random.Random) -> str:
    return prompt.lower().rstrip(".") if draw.random() < CARELESS else prompt


def features_of(prompts: list[str]) -> csr_matrix:
    """The features of prompts, one row each: float64 (prompts, BUCKETS + FACTS)."""
    places, values, starts = features(text_buffers(pa.array(prompts)), BUCKETS)
    return csr_matrix((values.astype(np.float64), places, starts), shape=(len(prompts), BUCKETS + FACTS))


def _fit_tasks(x: csr_matrix, labels: npt.NDArray[np.int64]) -> Floats:
    rows, columns = x.shape
    truth = np.eye(len(TASKS))[labels]

    def loss(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(columns, len(TASKS))
        logs = log_softmax(x @ w, axis=1)
        value = -(logs * truth).sum() / rows + PENALTY_TASK * (w * w).sum()
        slope = x.T @ (np.exp(logs) - truth) / rows + 2 * PENALTY_TASK * w
        return float(value), slope.ravel()

    found = minimize(loss, np.zeros(columns * len(TASKS)), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    fitted: Floats = found.x.reshape(columns, len(TASKS))
    return fitted


def fit_elicitation(x: csr_matrix, labels: Floats) -> Floats:
    """Weights that separate demands for reasoning from other prompts, float64 (columns,). labels: > 0 for a demand."""
    _, columns = x.shape
    counted = np.where(labels > 0, 1.0, ORDINARY)
    counted /= counted.sum()

    def loss(w: Floats) -> tuple[float, Floats]:
        z = x @ w
        value = (counted * (np.logaddexp(0, z) - labels * z)).sum() + PENALTY_ELICITATION * (w * w).sum()
        slope = x.T @ (counted * (expit(z) - labels)) + 2 * PENALTY_ELICITATION * w
        return float(value), slope

    found = minimize(loss, np.zeros(columns), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    fitted: Floats = found.x
    return fitted


def _hashed(texts: list[str]) -> list[list[int]]:
    return words(text_buffers(pa.array(texts)))


def _pair(left: int, right: int) -> np.uint64:
    both = np.array([left], np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.array([right], np.uint64)
    return np.uint64(stir_all(both)[0])


def main() -> None:
    """Write the weights beside this module."""
    np.savez_compressed(Path(__file__).with_name(WEIGHTS), allow_pickle=False, **train())


if __name__ == "__main__":
    main()
