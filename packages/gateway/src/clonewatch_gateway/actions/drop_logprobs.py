"""Answer without token probabilities, and say so."""

from __future__ import annotations

from clonewatch_gateway.decisions import Action, Change, Effect, Entry, Facts, no_bound

# OpenAI's chat and completions, its responses, and Gemini's generateContent.
_CHANGES = (
    Change(("logprobs",)),
    Change(("top_logprobs",)),
    Change(("include",), "without", "message.output_text.logprobs"),
    Change(("generationConfig", "responseLogprobs")),
    Change(("generationConfig", "logprobs")),
)


def _act(entry: Entry, facts: Facts, now: float) -> Effect:
    return Effect(entry.reason, 0, True, 0, _CHANGES)


ACTION = Action("drop_logprobs", 4, 1, no_bound, _act)
