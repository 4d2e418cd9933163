"""The content of requests: topic cell, template, prompt, system prompt and forced format, as hashes."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clonewatch.lab.clocks import Beats
from clonewatch.lab.ids import Hashes, mix
from clonewatch.lab.rows import Codes, Ints, Rows
from clonewatch.lab.topics import Topics

# Genres: the grammar that would write the text of a row.
CHAT, CODE, DATA, HOMEWORK, APP, AGENT, HARVEST, GRADE, REWRITE, TRACE, PROBE, CONTINUE, LABEL, REWORDED = range(14)
_GENRE_OF_TASK = np.array([CODE, CODE, HOMEWORK, DATA, CHAT, CHAT, CHAT, CHAT, CHAT], dtype=np.int8)


class Habits(NamedTuple):
    """How people word requests; drawn per log. The ranges are those measured on public prompt sets.

    popular: share of openings that are prompts many people send (exact duplicates of people: 0.6 to 10 %).
    skeleton: share of openings that follow a widely used skeleton (openings shared by five or more: 8 to 25 %).
    proceed: share of later turns that only say "continue". retry: share of turns that repeat the one before.
    """

    popular: float
    skeleton: float
    proceed: float
    retry: float
    salt: int


class Content(Protocol):
    """Fills the content columns of a day's arrivals."""

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """Columns cell, task, template, prompt, system, toolset, format, elicitation, genre (any may be left out)."""
        ...


def zipf_rank(rng: np.random.Generator, size: int, ranks: int) -> Ints:
    """Ranks 0..ranks-1 with probability about 1/rank (log-uniform)."""
    rank: Ints = np.minimum(np.exp(rng.random(size) * np.log(ranks + 1.0)).astype(np.int64) - 1, ranks - 1)
    return rank


def fresh(rng: np.random.Generator, size: int) -> Hashes:
    """Prompts or templates that nobody used before."""
    return rng.integers(1, 2**63, size=size).astype(np.uint64)


def _carried(values: NDArray[np.generic], again: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Replace values where `again` by that of the nearest earlier row that is not."""
    source = np.maximum.accumulate(np.where(again, 0, np.arange(len(values))))
    return values[source]


@dataclass
class People:
    """People's content: own and public interests, popular prompts, skeletons, retries and "continue".

    interests: (accounts, k) cells. loyalty: share of sessions on one's own interests. system, toolset: per account.
    own_template: share of openings in one's own recurring wording.
    """

    habits: Habits
    interests: Codes
    system: Hashes
    toolset: Hashes
    loyalty: float = 0.62
    own_template: float = 0.1
    asks_why: float = 0.03
    genre: int | None = None
    users: int = 0  # end users that an account names in its requests

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """Openings first, then the later turns of the session."""
        h, count, first = self.habits, len(beats.who), beats.turn == 0
        own = self.interests[beats.who, (self.interests.shape[1] * rng.random(count) ** 2).astype(np.int64)]
        cell = np.where(rng.random(count) < self.loyalty, own, topics.popular(rng, count)).astype(np.int32)
        prompt, template = fresh(rng, count), fresh(rng, count)
        turn = rng.random(count)
        mine = turn < self.own_template
        template[mine] = mix(beats.who[mine].astype(np.int64) * 8 + rng.integers(3, size=int(mine.sum())), h.salt + 1)
        common = (turn >= self.own_template) & (turn < self.own_template + h.skeleton)
        template[common] = mix(zipf_rank(rng, int(common.sum()), 4000), h.salt + 2)
        famous = first & (turn > 1 - h.popular)
        rank = zipf_rank(rng, int(famous.sum()), 6_000)
        prompt[famous], template[famous] = mix(rank, h.salt + 3), mix(rank, h.salt + 4)
        cell[famous] = topics.table[mix(rank, h.salt + 5) % np.uint64(len(topics.table))]
        stays = ~first & (rng.random(count) < 0.88)
        cell = _carried(cell, stays).astype(np.int32)
        retried = ~first & (rng.random(count) < h.retry)
        goes_on = ~first & ~retried & (rng.random(count) < h.proceed)
        phrase = zipf_rank(rng, int(goes_on.sum()), 8)
        prompt[goes_on], template[goes_on] = mix(phrase, h.salt + 6), mix(phrase, h.salt + 7)
        prompt = _carried(prompt, retried).astype(np.uint64)
        template = _carried(template, retried).astype(np.uint64)
        why = rng.random(count) < self.asks_why
        elicitation = np.where(why, rng.uniform(0.3, 0.75, size=count), rng.beta(1.2, 20, size=count))
        task = topics.task[cell]
        genre = _GENRE_OF_TASK[task] if self.genre is None else np.full(count, self.genre, dtype=np.int8)
        genre = np.where(_carried(goes_on, retried), CONTINUE, genre)
        return {
            "cell": cell,
            "task": task,
            "template": template,
            "prompt": prompt,
            "elicitation": elicitation,
            "system": self.system[beats.who],
            "toolset": self.toolset[beats.who],
            "genre": genre,
            "end_user": self._end_users(beats),
        }

    def _end_users(self, beats: Beats) -> Hashes:
        if not self.users:
            return np.zeros(len(beats.who), dtype=np.uint64)
        one = (mix(beats.session, 61) % np.uint64(self.users)).astype(np.int64)
        return mix(beats.who.astype(np.int64) * 1_000_003 + one, self.habits.salt + 8)


@dataclass
class App:
    """A product built on the API: few templates, one system prompt that changes occasionally, its users' questions.

    app: product of each account. cells: (products, k). templates: number per product. repeats: share of prompts
    that its users repeat word for word. releases: days between changes of the system prompt, 0 for never.
    """

    app: Codes
    cells: Codes
    salt: int
    templates: Ints
    repeats: float = 0.05
    formatted: float = 0.4
    releases: int = 0
    end_users: float = 0.0
    genre: int = APP
    elicitation: float = 0.05
    task: int | None = None
    flatness: float = 2.5
    systemless: bool = False

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """Questions in the product's templates."""
        count, app = len(beats.who), self.app[beats.who].astype(np.int64)
        cell = self.cells[app, (self.cells.shape[1] * rng.random(count) ** self.flatness).astype(np.int64)]
        which = (self.templates[app] * rng.random(count) ** 1.7).astype(np.int64)
        template = mix(app * 64 + which, self.salt + 1)
        prompt = fresh(rng, count)
        repeated = rng.random(count) < self.repeats
        rank = zipf_rank(rng, int(repeated.sum()), 400)
        prompt[repeated] = mix(app[repeated] * 512 + rank, self.salt + 2)
        age = beats.ts // 86_400_000_000 // self.releases if self.releases else np.zeros(count, dtype=np.int64)
        system = mix(app * 1024 + age, self.salt + 3)
        if self.systemless:
            system = np.zeros(count, dtype=np.uint64)
        shaped = (mix(app, self.salt + 4) % np.uint64(1000)).astype(np.int64) < 1000 * self.formatted
        format_hash = np.where(shaped, mix(app, self.salt + 5), np.uint64(0))
        users = np.where(
            rng.random(count) < self.end_users,
            mix(app * 4096 + zipf_rank(rng, count, 900), self.salt + 6),
            np.uint64(0),
        )
        task = topics.task[cell] if self.task is None else np.full(count, self.task, dtype=np.int8)
        return {
            "cell": cell,
            "task": task,
            "template": template,
            "prompt": prompt,
            "system": system,
            "format": format_hash,
            "end_user": users,
            "genre": np.full(count, self.genre, dtype=np.int8),
            "elicitation": np.clip(rng.normal(self.elicitation, 0.03, size=count), 0, 1),
        }


@dataclass
class Fixed:
    """A fixed list that is asked repeatedly: benchmarks, probes, course work, nightly jobs.

    items: how many in each list. sheet: the list each account works through. in_order: everyone covers everything in
    order; otherwise items are drawn with a preference for the first. reworded: share asked in own words.
    """

    sheet: Codes
    items: int
    cells: Codes
    salt: int
    in_order: bool = True
    reworded: float = 0.0
    templates: int = 1
    genre: int = HOMEWORK
    elicitation: float = 0.1
    own_system: bool = False
    formatted: bool = False
    common_system: int = 0  # one system prompt for all sheets when not 0
    lessons: Ints | None = None  # for every day of the window, the first item of the sheet that is due
    _next: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """The next items of each account's list."""
        count, sheet = len(beats.who), self.sheet[beats.who].astype(np.int64)
        if self.in_order:
            item = self._place(beats.who) % self.items
        else:
            item = (self.items * rng.random(count) ** 2).astype(np.int64)
        if self.lessons is not None:
            item = item + self.lessons[np.clip(beats.ts // 86_400_000_000, 0, len(self.lessons) - 1)]
        key = sheet * 1_000_003 + item
        prompt, template = mix(key, self.salt + 1), mix(sheet * 64 + item % self.templates, self.salt + 2)
        words = rng.random(count) < self.reworded
        prompt[words], template[words] = fresh(rng, int(words.sum())), fresh(rng, int(words.sum()))
        cell = self.cells[mix(key, self.salt + 3) % np.uint64(len(self.cells))]
        owner = beats.who.astype(np.int64) if self.own_system else sheet
        system = mix(owner, self.salt + 4) if not self.common_system else np.full(count, self.common_system, np.uint64)
        return {
            "cell": cell,
            "task": topics.task[cell],
            "template": template,
            "prompt": prompt,
            "system": system,
            "genre": np.full(count, self.genre, dtype=np.int8),
            "format": mix(sheet, self.salt + 5) if self.formatted else np.zeros(count, dtype=np.uint64),
            "elicitation": np.clip(rng.normal(self.elicitation, 0.03, size=count), 0, 1),
        }

    def _place(self, who: Codes) -> Ints:
        if not len(self._next):
            self._next = np.zeros(len(self.sheet), dtype=np.int64)
        order = np.argsort(who, kind="stable")
        sizes = np.bincount(who, minlength=len(self._next))
        within = np.arange(len(who)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        place = np.empty(len(who), dtype=np.int64)
        place[order] = self._next[who[order]] + within
        self._next = self._next + sizes
        return place


@dataclass
class Agent:
    """A coding agent: one harness's prompts and tools, applied to a person's own repositories.

    harness: of each account. version_days: days between prompt releases (a real one had 229 releases in nine months).
    extras: tool sets that a person may have added. repos: (accounts, k) cells.
    """

    harness: Codes
    repos: Codes
    salt: int
    extras: Ints
    version_days: int = 3
    lag: Ints | None = None

    def fill(self, beats: Beats, topics: Topics, rng: np.random.Generator) -> Rows:
        """A task in a repository, then tool results."""
        count, harness = len(beats.who), self.harness[beats.who].astype(np.int64)
        first = beats.turn == 0
        repo = (self.repos.shape[1] * rng.random(count) ** 2).astype(np.int64)
        cell = _carried(self.repos[beats.who, repo], ~first | (rng.random(count) < 0.0)).astype(np.int32)
        template, prompt = fresh(rng, count), fresh(rng, count)
        follow = ~first & (rng.random(count) < 0.9)
        template[follow] = mix(harness[follow] * 64 + zipf_rank(rng, int(follow.sum()), 24), self.salt + 1)
        goes_on = ~first & (rng.random(count) < 0.02)
        prompt[goes_on] = mix(zipf_rank(rng, int(goes_on.sum()), 6), self.salt + 2)
        day = beats.ts // 86_400_000_000
        lag = self.lag[beats.who] if self.lag is not None else 0
        system = mix(harness * 4096 + np.maximum(day - lag, 0) // self.version_days, self.salt + 3)
        task = np.where(rng.random(count) < 0.6, 1, 0)  # agentic tool use, else software engineering
        return {
            "cell": cell,
            "task": task,
            "template": template,
            "prompt": prompt,
            "system": system,
            "toolset": mix(harness * 4096 + self.extras[beats.who], self.salt + 4),
            "genre": np.full(count, AGENT, dtype=np.int8),
            "elicitation": rng.beta(1.2, 25, size=count),
        }
