"""The content of a harvest: a list of questions distributed over accounts, in wording families and a forced format."""

from dataclasses import dataclass, field

import numpy as np

from clonewatch.lab.clocks import Beats
from clonewatch.lab.content import HARVEST, PROBE, REWORDED, TRACE, fresh
from clonewatch.lab.ids import Hashes, mix
from clonewatch.lab.rows import Array, Codes, Ints, Reals, Rows
from clonewatch.lab.topics import Topics

_REQUEUE = 40  # a failed request is repeated within this many others
_REMEMBERED = 20_000  # sessions whose signatures may be redeemed elsewhere


@dataclass
class Curriculum:
    """The list of questions; several pools of accounts may work through it together.

    cells: topics it covers. rollouts: times each question is asked (mean, when varied). popular: share of questions
    whose topic follows public popularity rather than a uniform distribution; those repeat occasionally. shards: 0 when
    any account may get any topic, otherwise topics are divided by account into this many parts.
    """

    cells: Codes
    salt: int
    rollouts: int = 1
    varied: bool = False
    popular: float = 0.0
    shards: int = 0
    asked: int = 0

    def deal(self, who: Ints, topics: Topics, rng: np.random.Generator) -> tuple[Ints, Codes]:
        """The next questions and their cells, one for each request in order of arrival."""
        count = len(who)
        if self.rollouts == 1:
            question = self.asked + np.arange(count)
            self.asked += count
        else:
            copies = 1 + rng.poisson(self.rollouts - 1, size=count) if self.varied else np.full(count, self.rollouts)
            number = np.repeat(np.arange(count), copies)[:count]
            question = self.asked + number
            self.asked += int(number[-1]) + 1 if count else 0
        seed = mix(question, self.salt)
        matched = (seed % np.uint64(1000)).astype(np.int64) < 1000 * self.popular
        again = matched & (rng.random(count) < 0.08) & (question > 50)
        question = np.where(again, (question * rng.random(count) ** 0.5).astype(np.int64), question)
        seed = mix(question, self.salt + 1)
        if self.shards:
            part = (mix(who, self.salt + 2) % np.uint64(self.shards)).astype(np.int64)
            width = max(1, len(self.cells) // self.shards)
            place = (part * width + (seed % np.uint64(width)).astype(np.int64)) % len(self.cells)
        else:
            place = (seed % np.uint64(len(self.cells))).astype(np.int64)
        liked = topics.table[mix(question, self.salt + 3) % np.uint64(len(topics.table))]
        return question, np.where(matched, liked, self.cells[place]).astype(np.int32)


@dataclass
class Harvest:
    """Content of harvested exchanges of one pool of accounts.

    families: wording templates. paraphrase: share reworded so that nothing of the template remains. formatted: share
    with a forced output format. clean: share of requests that send an earlier answer back to be cleaned up. replay:
    share that redeems a reasoning signature issued elsewhere. probing: early part with many wordings and repeats.
    """

    curriculum: Curriculum
    salt: int
    families: int
    paraphrase: float
    formatted: float
    elicitation: tuple[float, float]
    system: Array  # per account; 0 for none
    toolset: Array
    task: int | None = None
    genre: int = HARVEST
    clean: float = 0.0
    replay: float = 0.0
    probing: bool = False
    follow: float = 0.0
    group: Ints | None = None
    failures: float = 0.02
    _sessions: Array = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """The next part of the list."""
        count = len(beats.who)
        owner = beats.who.astype(np.int64) if self.group is None else self.group[beats.who]
        again, lost_first = self._requeued(count, rng)
        question, cell = self.curriculum.deal(owner, topics, rng)
        question[again], cell[again] = question[lost_first], cell[lost_first]
        prompt = mix(question, self.curriculum.salt + 4)
        family = (self.families * rng.random(count) ** 1.3).astype(np.int64)
        template = mix(family, self.salt + 5)
        template[again] = template[lost_first]
        lost = rng.random(count) < self.paraphrase
        lost[again] = lost[lost_first] = False  # the same bytes are sent again
        template[lost] = fresh(rng, int(lost.sum()))
        prompt[lost] = mix(prompt[lost], self.salt + 6) if self.curriculum.rollouts == 1 else prompt[lost]
        genre = np.full(count, self.genre, dtype=np.int8)
        if self.genre == HARVEST:
            genre[lost] = REWORDED
        cleaned = rng.random(count) < self.clean
        cleaned[again] = cleaned[lost_first] = False
        template[cleaned] = mix(family[cleaned], self.salt + 7)
        prompt[cleaned] = fresh(rng, int(cleaned.sum()))
        genre[cleaned] = TRACE
        if self.probing:
            retried = rng.random(count) < 0.45
            earlier = np.maximum.accumulate(np.where(retried, 0, np.arange(count)))
            cell, template = cell[earlier], np.where(retried, fresh(rng, count), template[earlier])
            genre = np.full(count, PROBE, dtype=np.int8)
        shaped, asks = chance(template, self.salt + 9) < self.formatted, chance(template, self.salt + 10)
        low, high = self.elicitation
        made: Rows = {
            "cell": cell,
            "task": topics.task[cell] if self.task is None else np.full(count, self.task, dtype=np.int8),
            "prompt": prompt,
            "template": template,
            "genre": genre,
            "system": self.system[beats.who],
            "toolset": self.toolset[beats.who],
            "format": np.where(shaped, mix(mix(template, self.salt + 11) % np.uint64(3), self.salt + 8), np.uint64(0)),
            "status": _failures(count, lost_first, rng),
            "elicitation": low + (high - low) * asks,
        }
        if self.replay:
            made |= self._redeemed(beats, rng)
        return made

    def _requeued(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Positions of requests that repeat a failed one, and of the failed ones: a queue retries a little later."""
        failed = np.flatnonzero(rng.random(count) < self.failures)
        retry = failed + rng.integers(1, _REQUEUE, size=len(failed))
        retry, first = np.unique(retry, return_index=True)
        failed = failed[first]
        sound = (retry < count) & ~np.isin(retry, failed) & ~np.isin(failed, retry)
        return retry[sound], failed[sound]

    def _redeemed(self, beats: Beats, rng: np.random.Generator) -> Rows:
        """Signatures issued in earlier sessions of any account of the pool."""
        known = np.concatenate([self._sessions, beats.session])
        self._sessions = known[-_REMEMBERED:]
        count = len(beats.who)
        used = (rng.random(count) < self.replay) & (len(known) > 1)
        source = known[rng.integers(max(1, len(known) - count), size=count)]
        return {
            "signature": np.where(used, mix(source, 41), np.uint64(0)),
            "signature_session": np.where(used, source, np.uint64(0)),
        }


def chance(hashes: Hashes, salt: int) -> Reals:
    """A number in 0..1 that is fixed per wording: one wording always demands the same format."""
    found: Reals = (mix(hashes, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def _failures(count: int, lost: Ints, rng: np.random.Generator) -> Array:
    """Status of every request: failures at these places, 200 elsewhere."""
    status = np.full(count, 200)
    status[lost] = np.array([429, 429, 500, 529])[rng.integers(4, size=len(lost))]
    return status


def ramp_up(days: int, first: float, last: float, ramp_days: float) -> Reals:
    """Factor for each day: 0 outside [first, last), growing over the first `ramp_days`."""
    day = np.arange(days) + 0.5
    grown = np.clip((day - first) / ramp_days, 0.0, 1.0) if ramp_days > 0 else np.ones(days)
    return np.where((day >= np.floor(first)) & (day < last), np.maximum(grown, 0.02), 0.0)
