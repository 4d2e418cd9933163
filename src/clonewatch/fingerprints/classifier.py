"""What a prompt asks for, and how strongly it demands a reasoning trace: a linear model over hashed words.

Task: the most likely of nine, by multinomial logistic regression over words, word pairs and a few facts (code block,
question mark, list, JSON keys, tags, ...). Elicitation: 0..1, a separate logistic output trained on demands to write
out hidden or step-by-step reasoning as a product, against plain questions that merely ask why. Both are hints about one
prompt; evidence needs many. The training material is in `training/`, the training code in `train`.
"""

from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.kernels.hashing import stir_all
from clonewatch.kernels.prompts import FORMAL, FUNCTION, ROLE_BITS, Lexicon
from clonewatch.kernels.scoring import packed
from clonewatch.model.schema import TASKS

Scores = npt.NDArray[np.float32]

WEIGHTS = "weights.npz"
ELICITATION = len(TASKS)  # the output after the tasks
# A system prompt is only the context of the user's prompt, so it has a quarter of its weight.
SYSTEM_SHARE = 0.25
# Offered tools are evidence for tool use, but every request of a coding agent offers them: a small weight.
TOOLS_OFFERED = 0.5


@cache
def lexicon() -> Lexicon:
    """The shipped weights and word lists, read once."""
    with resources.files("clonewatch.fingerprints").joinpath(WEIGHTS).open("rb") as file, np.load(file) as shipped:
        return unpack({name: shipped[name] for name in shipped.files})


def unpack(shipped: dict[str, npt.NDArray[np.generic]]) -> Lexicon:
    """A lexicon from the arrays of the weights file: int8 weights and their scale, and hashed word lists."""
    roles = np.zeros(1 << ROLE_BITS, np.uint8)
    for name, role in (("function_words", FUNCTION), ("formal_words", FORMAL)):
        roles[stir_all(shipped[name].astype(np.uint64)) >> np.uint64(64 - ROLE_BITS)] |= np.uint8(role)
    return Lexicon(
        roles,
        shipped["phrases"].astype(np.uint64),
        shipped["demands_json"].astype(np.uint64),
        packed(shipped["weights"].astype(np.int8)),
        shipped["scales"].astype(np.float32),
    )


def decide(user: Scores, system: Scores, tools: npt.NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
    """Task (string) and elicitation (float32) of N rows; null where the user's prompt has no word.

    user, system: float32[N, OUTPUTS] sums of the two prompts, NaN rows if there is none. tools: bool[N], whether
    tools were offered. The system prompt and offered tools shift the task; elicitation is the larger of the two.
    """
    silent = np.isnan(user[:, 0])
    heard = np.nan_to_num(user)
    scene = np.nan_to_num(system)
    sums = heard[:, :ELICITATION] + np.float32(SYSTEM_SHARE) * scene[:, :ELICITATION]
    sums[tools, TASKS.index("agentic_tool_use")] += TOOLS_OFFERED
    best = np.argmax(sums, axis=1)
    task = pa.DictionaryArray.from_arrays(pa.array(best.astype(np.int8)), pa.array(TASKS)).dictionary_decode()
    demand = np.fmax(user[:, ELICITATION], system[:, ELICITATION])
    elicitation = (1.0 / (1.0 + np.exp(-np.clip(demand, -30.0, 30.0)))).astype(np.float32)
    mask = pa.array(silent)
    return pc.if_else(mask, None, task), pa.array(elicitation, pa.float32(), mask=silent)
