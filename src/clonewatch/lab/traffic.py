"""The traffic of a cohort: clock, content, manner and routes combined into rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonewatch.lab.clocks import ArrivalClock, Beats
from clonewatch.lab.content import Content
from clonewatch.lab.ids import mix
from clonewatch.lab.network import Routes
from clonewatch.lab.outages import Outages
from clonewatch.lab.rows import Codes, Ints, Rows, rows
from clonewatch.lab.topics import Topics
from clonewatch.lab.vocabulary import END, FAILED, LENGTH, MODELS, NEW, REFUSAL, TOOL

NEVER = 2**62
_RESUMED_PER_MILLE = 8  # sessions that continue one from before the log, or from another device
_VERBOSITY = np.array([m.verbosity for m in MODELS])
_REASONING = np.array([m.reasoning for m in MODELS])
_SPEED = np.array([m.speed_ms for m in MODELS])


@dataclass
class Manner:
    """How a cohort asks: model, tokens, request parameters and failures.

    model: of each account. adopts: when it moves to the new model (microseconds, or NEVER). inputs, outputs: median and
    sigma of log-normal tokens of one account on the mid model. own_inputs, own_outputs: factor of each account on its
    median. grow: input added per turn, share of an opening.
    same_input: share of requests with one exact length. eager: share of an account's requests that move.
    """

    model: NDArray[np.int8]
    adopts: Ints
    inputs: tuple[float, float]
    outputs: tuple[float, float]
    own_inputs: NDArray[np.float64]
    own_outputs: NDArray[np.float64]
    channel: NDArray[np.int8]
    temperature: NDArray[np.float32]
    max_tokens: Codes
    tools: NDArray[np.int16]
    operation: int = 0
    grow: float = 0.25
    same_input: float = 0.0
    stream: float = 0.6
    failures: float = 0.02
    refusals: float = 0.006
    cached: float = 0.1
    eager: float = 0.85
    logprobs: float = 0.002
    samples: int = 1
    agentic: bool = False
    reasoning_share: float = 0.0

    def fill(self, beats: Beats, rng: np.random.Generator) -> Rows:
        """Columns model, tokens, latency, status, stop and parameters."""
        who, count = beats.who, len(beats.who)
        moved = (beats.ts >= self.adopts[who]) & (rng.random(count) < self.eager)
        model = np.where(moved, NEW, self.model[who]).astype(np.int64)
        opening = np.exp(rng.normal(np.log(self.inputs[0]), self.inputs[1], size=count)) * self.own_inputs[who]
        exact = rng.random(count) < self.same_input
        opening[exact] = self.inputs[0] + (mix(who[exact].astype(np.int64), 31) % np.uint64(97)).astype(np.float64)
        inputs = np.clip(opening * (1 + self.grow * beats.turn), 4, 900_000)
        outputs = np.exp(rng.normal(np.log(self.outputs[0]), self.outputs[1], size=count)) * _VERBOSITY[model]
        outputs *= self.own_outputs[who]
        hidden = _REASONING[model] + self.reasoning_share * (1 - _REASONING[model])
        total = np.clip(outputs / (1 - np.minimum(hidden, 0.9)), 1, 64_000)
        limit = self.max_tokens[who]
        cut = (limit > 0) & (total > limit)
        total = np.where(cut, limit, total)
        draw = rng.random(count)
        failed, refused = draw < self.failures, (draw > 1 - self.refusals)
        kind = rng.random(count)
        status = np.where(failed, np.select([kind < 0.5, kind < 0.7, kind < 0.85], [429, 500, 529], 400), 200)
        ending = TOOL if self.agentic else END
        stop = np.where(cut, LENGTH, np.where(rng.random(count) < 0.85, ending, END))
        stop = np.where(failed, FAILED, np.where(refused, REFUSAL, stop))
        total = np.where(failed, 0, np.where(refused, np.minimum(total, 60), total)).astype(np.int64)
        latency = (350 + total * _SPEED[model]) * np.exp(rng.normal(0, 0.25, size=count))
        return {
            "model": model,
            "input": inputs.astype(np.int64),
            "output": total,
            "latency": latency.astype(np.int64),
            "reasoning": (total * hidden).astype(np.int64),
            "status": status,
            "stop": stop,
            "cached": np.where(rng.random(count) < self.cached, inputs * 0.8, 0).astype(np.int64),
            "stream": rng.random(count) < self.stream,
            "channel": self.channel[who],
            "temperature": self.temperature[who],
            "max_tokens": limit,
            "tools": self.tools[who],
            "logprobs": rng.random(count) < self.logprobs,
            "operation": np.full(count, self.operation),
            "n": np.full(count, self.samples),
        }


@dataclass
class Traffic:
    """One cohort: its accounts and how they behave.

    ids: account numbers. begin, end: when each is active (microseconds). client: (accounts, 2) builds, the second used
    from `upgrade` on. campaign: number of the campaign these exchanges are harvested for, -1 for none.
    """

    ids: Codes
    begin: Ints
    end: Ints
    clock: ArrivalClock
    content: Content
    manner: Manner
    routes: Routes
    client: Codes
    upgrade: Ints
    campaign: int = -1
    grace: Ints | None = None  # how long after its end an account still sends requests, which are refused with 403

    def emit(self, day: int, topics: Topics, outages: Outages, rng: np.random.Generator) -> Rows:
        """Rows that start on this day; a session may continue on the next."""
        beats = self.clock.beats(day, rng)
        if not len(beats.who):
            return rows(0, {})
        ts, lost = outages.postpone(beats.ts, rng)
        until = self.end if self.grace is None else self.end + self.grace
        alive = (ts >= self.begin[beats.who]) & (ts < until[beats.who])
        who = beats.who
        if not alive.all():
            beats = Beats(who[alive], ts[alive], beats.session[alive], beats.turn[alive])
            lost = lost[alive]
        else:
            beats = beats._replace(ts=ts)
        made: Rows = self.content.fill(beats, topics, rng)
        told = made.pop("status", np.full(len(beats.who), 200))  # failures caused by the content
        made |= self.manner.fill(beats, rng)
        made["status"] = np.where(lost, 529, np.where(told != 200, told, made["status"]))
        barred = beats.ts >= self.end[beats.who]
        made["status"] = np.where(barred, 403, made["status"])
        gone = lost | barred | (told != 200)
        made["stop"] = np.where(gone, FAILED, made["stop"])
        made["output"], made["reasoning"] = np.where(gone, 0, made["output"]), np.where(gone, 0, made["reasoning"])
        made["account"] = self.ids[beats.who]
        made["ts"], made["session"], made["turn"] = beats.ts, beats.session, beats.turn
        made["egress"] = self.routes.choose(beats.who, beats.session, beats.ts)
        later = (beats.ts >= self.upgrade[beats.who]).astype(np.int64)
        made["client"] = self.client[beats.who, later]
        if "signature" not in made:
            made |= _signatures(made)
        made["campaign"] = np.where(barred, -1, self.campaign).astype(np.int8)
        return rows(len(beats.who), made)


def _signatures(made: Rows) -> Rows:
    """Reasoning signatures as honest clients return them: from the previous turn, or from a resumed session."""
    used = (made["turn"] > 0) & (_REASONING[made["model"]] > 0) & (made["status"] == 200)
    seed = mix(made["session"], 91)
    resumed = seed % np.uint64(1000) < np.uint64(_RESUMED_PER_MILLE)
    issued = np.where(resumed, mix(made["session"], 92), made["session"])
    return {
        "signature": np.where(used, mix(made["session"] + made["turn"].astype(np.uint64), 93), np.uint64(0)),
        "signature_session": np.where(used, issued, np.uint64(0)),
    }
