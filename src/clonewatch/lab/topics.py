"""What people ask about: a few thousand fine topic cells, their popularity and their tasks."""

import numpy as np

from clonewatch.lab.knobs import Knobs
from clonewatch.lab.rows import Codes
from clonewatch.lab.vocabulary import TASK

CELLS = 4096
_RESOLUTION = 1 << 18  # size of the look-up table for drawing by popularity; the rarest cells have at least one entry
# Rough shares of request kinds in public usage reports; the exact mix is a choice of this simulation.
_TASK_SHARES = {
    "software_engineering": 0.26,
    "agentic_tool_use": 0.07,
    "reasoning": 0.13,
    "data_analysis": 0.10,
    "computer_use": 0.03,
    "grading": 0.02,
    "sensitive_rewrite": 0.01,
    "chat": 0.25,
    "other": 0.13,
}


class Topics:
    """Topic cells, each with a Zipf popularity and a task. task: (CELLS,) codes. table: for draws by popularity."""

    def __init__(self, knobs: Knobs) -> None:
        rng = knobs.rng
        exponent = knobs.real("topic_zipf", 0.7, 1.05)
        weight = 1.0 / np.arange(1, CELLS + 1) ** exponent
        entries = np.maximum(1, np.round(weight / weight.sum() * _RESOLUTION)).astype(np.int64)
        order = rng.permutation(CELLS).astype(np.int32)
        self.table = np.repeat(order, entries)
        self.popularity = np.zeros(CELLS)
        self.popularity[order] = entries / entries.sum()
        names = list(_TASK_SHARES)
        self.task = np.array([TASK[n] for n in names], dtype=np.int8)[
            rng.choice(len(names), size=CELLS, p=np.array(list(_TASK_SHARES.values())))
        ]

    def popular(self, rng: np.random.Generator, size: int | tuple[int, ...]) -> Codes:
        """Cells drawn by popularity."""
        return self.table[rng.integers(len(self.table), size=size)]

    def about(self, tasks: tuple[str, ...]) -> Codes:
        """All cells of these tasks."""
        return np.flatnonzero(np.isin(self.task, [TASK[t] for t in tasks])).astype(np.int32)
