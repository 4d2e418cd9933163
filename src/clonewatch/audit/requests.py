"""Every request of an audit, derived from its plan alone, so that a resumed audit sends the same requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from clonewatch.audit import canary
from clonewatch.audit.canary import Canary
from clonewatch.audit.plan import AuditPlan, ModelEndpoint, PlannedTest
from clonewatch.model.errors import InputError

# Decoys scored with each canary. One request contains them all, and canaries add up, so a hundred are enough.
CANARY_DECOYS = 99
# The separator between the prompt and the answer of a chat, which has none of its own.
_BREAK = {"completions": "", "chat": "\n\n"}


class Request(NamedTuple):
    """One request. name: its raw file, without the suffix. path: relative to the address. body: the JSON to send."""

    name: str
    source: str
    path: str
    body: dict[str, Any]


def answers(plan: AuditPlan, prompts: Sequence[str], parts: int) -> Iterator[Request]:
    """The requests of the first parts: every prompt to every model."""
    for i, prompt in enumerate(prompts):
        if plan.part(i) < parts:
            for name in plan.sources:
                yield written(plan, name, f"answer-{i:05d}", prompt)


def written(plan: AuditPlan, name: str, what: str, prompt: str) -> Request:
    """The request that a model answer a prompt."""
    source = plan.sources[name]
    body = {"model": source.model, "max_tokens": plan.tokens, "temperature": plan.temperature, "n": plan.answers}
    if source.api == "chat":
        body["messages"] = [{"role": "user", "content": prompt}]
        if plan.access != "text":
            body |= {"logprobs": True, "top_logprobs": plan.logprobs}
        return Request(f"{name}/{what}", name, "/chat/completions", body)
    body["prompt"] = prompt
    if plan.access != "text":
        body["logprobs"] = plan.logprobs
    return Request(f"{name}/{what}", name, "/completions", body)


def scored(source: ModelEndpoint, name: str, what: str, texts: Sequence[str], logprobs: int = 1) -> Request:
    """The request for a model's probabilities in given texts. One more token is generated, and ignored."""
    body = {
        "model": source.model,
        "prompt": list(texts),
        "max_tokens": 1,
        "temperature": 0,
        "echo": True,
        "logprobs": logprobs,
    }
    return Request(f"{name}/{what}", name, "/completions", body)


def reference(plan: AuditPlan, name: str, i: int, prompt: str, told: Sequence[str]) -> Request:
    """The request for our own model's probabilities in a model's answers to a prompt."""
    before = prompt + _BREAK[plan.sources[name].api]
    return scored(plan.sources["ours"], "ours", f"reference-{name}-{i:05d}", [before + t for t in told], plan.logprobs)


def before(plan: AuditPlan, name: str, prompt: str) -> str:
    """The text before an answer."""
    return prompt + _BREAK[plan.sources[name].api]


def twins(plan: AuditPlan, test: PlannedTest, pairs: Sequence[dict[str, Any]]) -> Iterator[Request]:
    """The requests of a test of twins. Both answers are sent in the order of generation, which hides the coin."""
    for i, pair in enumerate(pairs):
        for name, source in plan.sources.items():
            what = f"twin-{test.id}-{i:05d}"
            if plan.access == "scoring":
                yield scored(source, name, what, [pair["prompt"] + pair[slot] for slot in ("first", "second")])
            elif name != "ours":
                yield written(plan, name, what, pair["prompt"])


def canaries(plan: AuditPlan, test: PlannedTest, minted: Sequence[Canary]) -> Iterator[Request]:
    """The requests of a test of canaries. The secret and its decoys are sent in alphabetical order."""
    for i, one in enumerate(minted):
        for name, source in plan.sources.items():
            what = f"canary-{test.id}-{i:05d}"
            if name == "ours":
                continue
            if plan.access == "scoring":
                yield scored(source, name, what, [f"{one.carrier} {words}" for words in candidates(one)])
            else:
                yield written(plan, name, what, one.carrier)


def candidates(one: Canary) -> list[str]:
    """The secret and its decoys, sorted, without repeats."""
    return sorted({one.secret, *canary.decoys(one, CANARY_DECOYS)})


def minted(test: PlannedTest, secret: Callable[[str], bytes]) -> list[Canary]:
    """The canaries of a test, generated from their seed."""
    public = test.public
    return canary.mint(public["count"], secret(test.commitment), public["length"], public["template"])


def pairs_of(test: PlannedTest, pairs: Sequence[dict[str, Any]], tests: Sequence[PlannedTest]) -> list[dict[str, Any]]:
    """The pairs whose coin a secret decided: those that name its commitment, or all if it is the only twin secret."""
    alone = sum(t.test == "twin" for t in tests) == 1
    named = [p for p in pairs if "commitment" in p]
    if len(named) < len(pairs) and not alone:
        raise InputError(
            "there are several twin secrets, and a pair names none", fix='Give every pair the "commitment" of its coin'
        )
    return [p for p in pairs if p.get("commitment", test.commitment) == test.commitment]
