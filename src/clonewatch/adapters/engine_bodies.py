"""Bodies of engines that run open models, and of APIs for plain prompts: Ollama, TGI, Llama, Mistral, Claude 2, Cohere.

They name few things otherwise than the chat APIs do, whose readers have read the rest before.
"""

from __future__ import annotations

from collections.abc import Mapping

from clonewatch.adapters.bodies import Row, content_text, first, inner, put, word
from clonewatch.adapters.event_streams import events

Body = Mapping[str, object]
# Keys of requests that other readers do not know: parameters in an object, prompts and limits by other names.
_ASKED = frozenset(("options", "parameters", "inputs", "texts", "p", "max_gen_len", "max_tokens_to_sample"))
# Keys of answers that other readers know; an answer without any of them is one of these, if it is one at all.
_KNOWN = frozenset(("choices", "output", "content", "data", "object", "error", "candidates"))
_PARAMETERS = {
    "max_tokens": ("max_gen_len", "max_tokens_to_sample", "max_new_tokens", "num_predict"),
    "temperature": ("temperature",),
    "top_p": ("top_p", "p"),
}


def is_one(request: Body, answer: Body, response: object) -> bool:
    """Whether something of an exchange is left to read here.

    >>> is_one({"messages": []}, {"choices": []}, None), is_one({"prompt": "Hi"}, {}, {"generation": "Yes."})
    (False, True)
    """
    if not _ASKED.isdisjoint(request):
        return True
    return bool(response) and _KNOWN.isdisjoint(answer)


def fill(request: Body, response: object, row: Row) -> object:
    """Fill `row`; what is filled already stays. Returns the prompt where the request has it under another name."""
    for settings in (request, inner(request, "options"), inner(request, "parameters")):
        for column, keys in _PARAMETERS.items():
            put(row, column, *(settings.get(key) for key in keys))
    parts = _parts(response)
    for part in reversed(parts):  # the last part of a stream tells how it ended
        _told(part, row)
    whole = next((text for part in parts if isinstance(text := part.get("generated_text"), str)), "")
    put(row, "response_text", whole or "".join(map(_text, parts)) or None)
    prompt = _prompt(request)
    if prompt:
        put(row, "operation", "embedding" if "texts" in request else "completion")
    return {"prompt": prompt} if prompt else None


def _parts(response: object) -> list[dict[str, object]]:
    return [response] if isinstance(response, dict) else events(response)


def _prompt(request: Body) -> str:
    """A prompt, or texts to embed, under the names of TGI and Cohere."""
    if "messages" in request or "prompt" in request:
        return ""
    held = request.get("inputs") or request.get("texts")
    texts = held if isinstance(held, list) else [held]
    return "\n".join(text for text in texts if isinstance(text, str))


def _told(part: dict[str, object], row: Row) -> None:
    """Why an answer ended, and how many tokens it took."""
    made = _made(part)
    details, delta = inner(part, "details"), inner(part, "delta")
    reasons = (part.get("done_reason"), details.get("finish_reason"), delta.get("finish_reason"))
    put(row, "stop_reason", *map(word, (*reasons, *(one.get(k) for one in (part, made) for k in _REASONS))))
    usage = inner(part, "usage") or inner(delta, "usage")
    counted = (inner(usage, "tokens"), inner(usage, "billed_units"))
    put(row, "input_tokens", part.get("prompt_eval_count"), part.get("prompt_token_count"),
        *(one.get("input_tokens") for one in counted))  # fmt: skip
    put(row, "output_tokens", part.get("eval_count"), part.get("generation_token_count"),
        details.get("generated_tokens"), *(one.get("output_tokens") for one in counted))  # fmt: skip
    put(row, "model", part.get("model"))


_REASONS = ("stop_reason", "finish_reason")
_TEXTS = ("generation", "completion", "response", "text")


def _made(part: dict[str, object]) -> dict[str, object]:
    """The first of several answers."""
    return first(part.get("outputs")) or first(part.get("generations"))


def _text(part: dict[str, object]) -> str:
    message = inner(part, "message") or inner(inner(part, "delta"), "message")
    held = message.get("content")
    said = content_text([held] if isinstance(held, dict) else held)
    plain = (one.get(key) for one in (part, _made(part)) for key in _TEXTS)
    return said or next((text for text in (*plain, inner(part, "token").get("text")) if isinstance(text, str)), "")
