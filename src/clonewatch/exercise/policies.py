"""Policies of an exercise: read from text, and recalibrated to act from a threshold ratio on."""

from __future__ import annotations

from clonewatch.model.errors import SetupError
from clonewatch.policy.conditions import compiled
from clonewatch.policy.policy_file import Policy, Rule, parsed

_FLAGGED = 'campaign.outcome == "flagged"'


def relaxed(text: str, ratio: float) -> Policy:
    """A policy whose rules for flagged groups hold from a threshold ratio on as well; 0 leaves it as it is.

    Raises SetupError where the text is no policy.
    """
    found = parsed(text.encode())
    if isinstance(found, list):
        first = found[0]
        raise SetupError(f"line {first.line}: {first.what}", where="the policy", fix=first.fix or "Correct it")
    if not ratio:
        return found
    return found._replace(rules=tuple(_relaxed(rule, ratio) for rule in found.rules))


def can_relax(text: str) -> bool:
    """Whether a policy has a rule that recalibration reaches."""
    return any(_FLAGGED in rule.when.text for rule in relaxed(text, 0.0).rules)


def _relaxed(rule: Rule, ratio: float) -> Rule:
    if _FLAGGED not in rule.when.text:
        return rule
    when = compiled(rule.when.text.replace(_FLAGGED, f"({_FLAGGED} || campaign.threshold_ratio >= {ratio:.6f})"))
    if isinstance(when, list):
        raise SetupError(f"rule {rule.id!r} cannot be recalibrated: {when[0].what}", fix="Write the comparison plainly")
    return rule._replace(when=when)
