"""Every request of a collection, in order: to the models, and then to our own model about their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clonewatch.audit import requests
from clonewatch.audit.collected import Collected
from clonewatch.audit.plan import AuditPlan
from clonewatch.audit.requests import Request

ROLES = ("suspect", "control")


def questions(plan: AuditPlan, collected: Collected, secret: Callable[[str], bytes], parts: int) -> Iterator[Request]:
    """The requests of the first parts of a plan. secret: of a commitment."""
    yield from requests.answers(plan, collected.prompts, parts)
    for test in plan.tests:
        if test.test == "twin":
            yield from requests.twins(plan, test, requests.pairs_of(test, collected.twins, plan.tests))
        elif test.test == "canary":
            yield from requests.canaries(plan, test, requests.minted(test, secret))


def references(plan: AuditPlan, collected: Collected, parts: int) -> Iterator[Request]:
    """The requests to our own model about the answers of the others, which must be here."""
    if "ours" not in plan.sources:
        return
    for i, prompt in enumerate(collected.prompts):
        for name in ROLES:
            if plan.part(i) < parts:
                told = [a.text for a in collected.answers(name, f"answer-{i:05d}")]
                if told:
                    yield requests.reference(plan, name, i, prompt, told)
