"""Bodies of cloud vendors' own APIs: Bedrock Converse, Titan, Cohere and Gemini, as chat bodies and exchange columns.

Fingerprinting understands one shape of request. What these APIs name otherwise is renamed here: `messages`, `system`,
`tools`, `response_format`, `stop`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from clonewatch.adapters.bodies import Row, claimed, content_text, first, inner, put, word
from clonewatch.adapters.event_streams import events
from clonewatch.adapters.values import count

Body = Mapping[str, object]
_CAPITAL = re.compile("[A-Z]")
_ROLES = {"model": "assistant", "CHATBOT": "assistant", "USER": "user", "SYSTEM": "system", "TOOL": "tool"}


def kind_of(request: Body) -> str | None:
    """Which of these APIs a request body is for, None for another one.

    >>> kind_of({"inputText": "Hi"}), kind_of({"contents": []}), kind_of({"messages": []})
    ('titan', 'gemini', None)
    """
    if not request or ("messages" in request and "inferenceConfig" not in request and "toolConfig" not in request):
        return None  # by far the most
    if "contents" in request:
        return "gemini"
    if _embedded(request):
        return "gemini_embedding"
    if "inputText" in request:
        return "titan"
    if "inferenceConfig" in request or "toolConfig" in request:
        return "converse"
    if "chat_history" in request or ("message" in request and "messages" not in request):
        return "cohere"
    return "cohere" if "preamble" in request or ("p" in request and "k" in request) else None


def fill(kind: str, request: Body, response: object, row: Row) -> None:
    """Fill `row` from an exchange of one of these APIs, its text included; what is filled already stays."""
    _FILL[kind](request, response, row)
    row["messages"] = chat(kind, request) or None


def chat(kind: str, request: Body) -> dict[str, object]:
    """A request body in the shape that fingerprinting reads; empty without a prompt.

    >>> chat("gemini", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]})
    {'messages': [{'role': 'user', 'content': 'Hi'}]}
    """
    made = {key: value for key, value in _CHAT[kind](request).items() if value}
    return made if "messages" in made or "prompt" in made else {}


def gemini(request: Body, response: object, row: Row) -> None:
    """Gemini's and Vertex's generateContent, streamed (a list of chunks) or not."""
    settings = _either(request, "generationConfig", "generation_config")
    put(row, "max_tokens", _told(settings, "maxOutputTokens"))
    put(row, "temperature", settings.get("temperature"))
    put(row, "top_p", _told(settings, "topP"))
    put(row, "n", _told(settings, "candidateCount"))
    if (asked := _told(settings, "responseLogprobs")) is not None:
        row["logprobs"] = bool(asked)
    put(row, "tools_count", _count(_gemini_tools(request)))
    put(row, "operation", "chat")
    put(row, "model", request.get("model"))
    claimed(row, inner(request, "labels").get("user"))
    texts: list[str] = []
    chunks = [response] if isinstance(response, dict) else events(response)
    for chunk in reversed(chunks):  # the last chunk counts all tokens
        usage = _either(chunk, "usageMetadata", "usage_metadata")
        put(row, "input_tokens", _told(usage, "promptTokenCount"))
        said, thought = _told(usage, "candidatesTokenCount"), _told(usage, "thoughtsTokenCount")
        if (made := [n for n in map(count, (said, thought)) if n is not None]) and row.get("output_tokens") is None:
            put(row, "output_tokens", sum(made))  # thoughts are counted apart, and may be all there is
        put(row, "reasoning_tokens", thought)
        put(row, "cached_tokens", _told(usage, "cachedContentTokenCount"))
        put(row, "model", _told(chunk, "modelVersion"))
        row["exchange_id"] = row.get("exchange_id") or _told(chunk, "responseId")
        answer = first(chunk.get("candidates"))
        refused = _either(chunk, "promptFeedback", "prompt_feedback")
        put(row, "stop_reason", word(_told(answer, "finishReason")), word(_told(refused, "blockReason")))
        texts.append(_parts_text(inner(answer, "content").get("parts"), ""))
    put(row, "response_text", "".join(reversed(texts)))


def gemini_embedding(request: Body, response: object, row: Row) -> None:
    """Gemini's embedContent and batchEmbedContents."""
    named = next((one["model"] for one in _embedded(request) if isinstance(one.get("model"), str)), "")
    put(row, "model", str(named).removeprefix("models/"))
    put(row, "operation", "embedding")
    usage = _either(response, "usageMetadata", "usage_metadata")
    put(row, "input_tokens", _told(usage, "promptTokenCount"))


def _embedded(request: Body) -> list[dict[str, object]]:
    """The requests for embeddings: the body itself, or those that it lists; their content has parts."""
    held = request.get("requests", [request])
    listed = [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []
    return [one for one in listed if "parts" in inner(one, "content")]


def titan(request: Body, response: object, row: Row) -> None:
    """Amazon Titan's text and embedding models."""
    settings = inner(request, "textGenerationConfig")
    put(row, "max_tokens", settings.get("maxTokenCount"))
    put(row, "temperature", settings.get("temperature"))
    put(row, "top_p", settings.get("topP"))
    answer = response if isinstance(response, dict) else {}
    put(row, "operation", "embedding" if "embedding" in answer or "dimensions" in request else "completion")
    put(row, "input_tokens", answer.get("inputTextTokenCount"))
    chunks = [answer] if answer else events(response)
    results = [first(chunk.get("results")) or chunk for chunk in chunks]
    for result in results:
        put(row, "stop_reason", word(result.get("completionReason")))
    put(row, "output_tokens", *(result.get("tokenCount") for result in results))
    put(row, "response_text", "".join(t for r in results if isinstance(t := r.get("outputText"), str)))


def cohere(request: Body, response: object, row: Row) -> None:
    """Cohere's chat (first version) and Command's generate, as Bedrock and Cohere log them."""
    for column, keys in (("max_tokens", ("max_tokens",)), ("temperature", ("temperature",)), ("top_p", ("p",))):
        put(row, column, *(request.get(key) for key in keys))
    put(row, "n", request.get("num_generations"))
    put(row, "stream", request.get("stream"))
    put(row, "tools_count", _count(request.get("tools")))
    put(row, "model", request.get("model"))
    answer = response if isinstance(response, dict) else {}
    made = first(answer.get("generations"))
    put(row, "operation", "embedding" if "texts" in request else "chat" if "message" in request else "completion")
    row["exchange_id"] = row.get("exchange_id") or answer.get("generation_id") or answer.get("id")
    put(row, "stop_reason", word(answer.get("finish_reason")), word(made.get("finish_reason")))
    billed = inner(inner(answer, "meta"), "billed_units")
    tokens = inner(inner(answer, "meta"), "tokens")
    put(row, "input_tokens", tokens.get("input_tokens"), billed.get("input_tokens"))
    put(row, "output_tokens", tokens.get("output_tokens"), billed.get("output_tokens"))
    put(row, "response_text", answer.get("text"), made.get("text"))


def converse(request: Body, response: object, row: Row) -> None:
    """Bedrock Converse, whole or as a list of stream events."""
    settings = inner(request, "inferenceConfig")
    put(row, "max_tokens", settings.get("maxTokens"), settings.get("max_new_tokens"))
    put(row, "temperature", settings.get("temperature"))
    put(row, "top_p", settings.get("topP"))
    put(row, "tools_count", _count(inner(request, "toolConfig").get("tools")))
    put(row, "operation", "chat")
    texts: list[str] = []
    for part in response if isinstance(response, list) else [response]:
        if not isinstance(part, dict):
            continue
        put(row, "stop_reason", word(part.get("stopReason")), word(inner(part, "messageStop").get("stopReason")))
        usage = inner(part, "usage") or inner(inner(part, "metadata"), "usage")
        took = inner(part, "metrics") or inner(inner(part, "metadata"), "metrics")
        put(row, "latency_ms", took.get("latencyMs"))
        parts = [count(usage.get(key)) for key in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")]
        if parts[0] is not None:
            put(row, "input_tokens", sum(filter(None, parts)))  # counted apart
        put(row, "output_tokens", usage.get("outputTokens"))
        put(row, "cached_tokens", parts[1])
        texts.append(content_text(inner(inner(part, "output"), "message").get("content")))
        delta = inner(inner(part, "contentBlockDelta"), "delta").get("text")
        texts.append(delta if isinstance(delta, str) else "")
    put(row, "response_text", "".join(texts))


def _gemini_chat(request: Body) -> dict[str, object]:
    contents = request.get("contents")
    contents = [contents] if isinstance(contents, dict) else contents
    turns = [turn for turn in contents if isinstance(turn, dict)] if isinstance(contents, list) else []
    settings = _either(request, "generationConfig", "generation_config")
    return {
        "messages": [
            {"role": _role(turn.get("role") or "user"), "content": _parts_text(turn.get("parts"))} for turn in turns
        ],
        "system": _parts_text(_either(request, "systemInstruction", "system_instruction").get("parts")),
        "tools": _gemini_tools(request),
        "response_format": _told(settings, "responseSchema") or _told(settings, "responseJsonSchema"),
        "stop": _told(settings, "stopSequences"),
    }


def _gemini_embedding_chat(request: Body) -> dict[str, object]:
    texts = (_parts_text(inner(one, "content").get("parts")) for one in _embedded(request))
    return {"prompt": "\n".join(filter(None, texts))}


def _gemini_tools(request: Body) -> list[object]:
    """The declared functions, and built-in tools as they are."""
    found: list[object] = []
    tools = request.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        declared = (
            tool.get("functionDeclarations") or tool.get("function_declarations") if isinstance(tool, dict) else 0
        )
        found += declared if isinstance(declared, list) else [tool]
    return found


def _titan_chat(request: Body) -> dict[str, object]:
    return {"prompt": request.get("inputText"), "stop": inner(request, "textGenerationConfig").get("stopSequences")}


def _cohere_chat(request: Body) -> dict[str, object]:
    history = request.get("chat_history")
    said = [
        {"role": _role(turn.get("role")), "content": turn.get("message")}
        for turn in (history if isinstance(history, list) else [])
        if isinstance(turn, dict)
    ]
    if request.get("message"):
        said.append({"role": "user", "content": request["message"]})
    return {
        "messages": said,
        "prompt": request.get("prompt"),
        "system": request.get("preamble"),
        "tools": request.get("tools"),
        "response_format": request.get("response_format"),
        "stop": request.get("stop_sequences"),
    }


def _converse_chat(request: Body) -> dict[str, object]:
    messages = request.get("messages")
    return {
        "messages": messages if isinstance(messages, list) else None,
        "system": request.get("system"),
        "tools": inner(request, "toolConfig").get("tools"),
        "stop": inner(request, "inferenceConfig").get("stopSequences"),
    }


def _role(role: object) -> object:
    return _ROLES.get(role, role) if isinstance(role, str) else role


def _parts_text(parts: object, between: str = "\n") -> str:
    """The text of a list of parts; thoughts of the model are none of its answer, whose parts are one text."""
    held = parts if isinstance(parts, list) else [parts]
    plain = [part for part in held if not (isinstance(part, dict) and part.get("thought"))]
    return between.join(filter(None, (content_text([part]) for part in plain)))


def _told(held: Body, name: str) -> object:
    """A value by its name in JSON, or as the vendor's Python library writes it.

    >>> _told({"promptTokenCount": 7}, "promptTokenCount"), _told({"prompt_token_count": 8}, "promptTokenCount")
    (7, 8)
    """
    found = held.get(name)
    return held.get(_CAPITAL.sub(r"_\g<0>", name).lower()) if found is None else found


def _either(value: object, *keys: str) -> dict[str, object]:
    return next((found for key in keys if (found := inner(value, key))), {})


def _count(tools: object) -> int | None:
    return len(tools) or None if isinstance(tools, list) else None


_FILL: dict[str, Callable[[Body, Any, Row], None]] = {
    "gemini": gemini,
    "gemini_embedding": gemini_embedding,
    "titan": titan,
    "cohere": cohere,
    "converse": converse,
}
_CHAT: dict[str, Callable[[Body], dict[str, object]]] = {
    "gemini": _gemini_chat,
    "gemini_embedding": _gemini_embedding_chat,
    "titan": _titan_chat,
    "cohere": _cohere_chat,
    "converse": _converse_chat,
}
