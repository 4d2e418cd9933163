"""Fingerprints as a gateway of our own would write them: for the half of the worlds whose logs have no text."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np

from evals.third_generator.language import NAMES, TOPICS

SKETCH = 64
_PRIME = np.uint64((1 << 61) - 1)
_PLAIN = frozenset(
    "a an the i you we my your our it is are was do does did can could would should how what which who why when where "
    "and or but if so in on of to for from with by at as this that these those there then than not no any all each one "
    "me us them please thanks give write make explain compare show tell help fix check list put say reply answer "
    "before after between under about into over only first next final step question task problem".split()
)
_CUES = re.compile(
    r"step by step|think|reason|inference|thought|scratch|working|considered and rejected|line by line|aloud|every step"
)
_FORMAT = re.compile(r"<\w+>|####|FINAL:|JSON|with the keys \w+ and \w+|\[\?\]")
_GRADE = re.compile(r"\b(score|rate|mark) (both|the)\b")
_WORD = re.compile(r"[a-z]+|\d+|[^\sa-z\d]")
_CODE = ("python", "web", "sql", "devops")
_REASON = ("maths", "physics", "statistics")


class Gateway:
    """Keyed fingerprints of prompts, remembered per text."""

    def __init__(self, seed: int) -> None:
        self.key = f"gateway {seed}".encode()
        self.seen: dict[tuple[str, str, bool], dict[str, Any]] = {}
        draw = np.random.Generator(np.random.PCG64(seed))
        self.a = draw.integers(1, 1 << 31, SKETCH, dtype=np.uint64)
        self.b = draw.integers(0, 1 << 31, SKETCH, dtype=np.uint64)
        self.places = {w: (t, i) for t, name in enumerate(NAMES) for i, w in enumerate(TOPICS[name])}

    def hash(self, text: str) -> int:
        """64 bits of a keyed hash."""
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=self.key).digest(), "little")

    def of(self, system: str, text: str, tools: bool) -> dict[str, Any]:
        """All fingerprint columns of one prompt."""
        known = self.seen.get((system, text, tools))
        if known is not None:
            return known
        lower = text.lower()
        words = _WORD.findall(lower)
        skeleton = [w if w in _PLAIN or not w.isalnum() else "_" for w in words]
        skeleton = [w for i, w in enumerate(skeleton) if w != "_" or i == 0 or skeleton[i - 1] != "_"][:40]
        shingles = {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
        raw = np.array(sorted(self.hash(s) & 0x7FFFFFFF for s in shingles), dtype=np.uint64)
        sketch = (((raw[:, None] * self.a + self.b) % _PRIME) & np.uint64(0xFFFFFFFF)).min(axis=0)
        found = sorted(place for w, place in self.places.items() if w in lower)
        counts = [t for t, _ in found]
        topic = max(sorted(set(counts)), key=counts.count) if counts else -1
        here = [i for t, i in found if t == topic]
        form = sorted(set(_FORMAT.findall(system + " " + text)))
        name = NAMES[topic] if topic >= 0 else ""
        if tools:
            task = "agentic_tool_use" if lower.startswith("tool result") else "software_engineering"
        elif _GRADE.search(lower):
            task = "grading"
        else:
            task = "software_engineering" if name in _CODE else "reasoning" if name in _REASON else "chat"
        out = {
            "system_hash": self.hash("s" + system.lower()) if system else None,
            "tools_hash": self.hash("t" + system[:40]) if tools else None,
            "template_id": self.hash("k" + " ".join(skeleton)),
            "prompt_id": self.hash("p" + " ".join(words)),
            "format_hash": self.hash("f" + "|".join(form)) if form else None,
            "sketch": sketch.astype(np.uint32).tolist(),
            "cell": topic * 144 + here[0] * 12 + here[-1] if here else 24 * 144,
            "task": task,
            "elicitation": min(0.95, 0.03 + 0.3 * len(_CUES.findall(lower + " " + system.lower()))),
        }
        self.seen[(system, text, tools)] = out
        return out
