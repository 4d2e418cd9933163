"""167 calls by 15 accounts, decided beforehand: what each asks for, and what the model server answers.

Only the standard library: the programs in the other virtual environment import it too.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
ACCOUNTS = 15
SHARES = {"chat": 80, "responses": 30, "embeddings": 9, "messages": 48}
MODELS = {"chat": "river-chat", "responses": "river-chat", "embeddings": "river-embed", "messages": "claude-river"}
DATED = "-2026-03-01"  # what the model server adds to the name of the model that answers
FAILURES = {401: 5, 429: 5, 500: 4}
SLOW = 0.4  # seconds that every eleventh answer takes, so that arrival and end are told apart
_TICKET = re.compile(r"ticket 4(\d{3})")
_TOPICS = (
    "Name a river of Peru, please", "Translate 'Grüße aus Köln' to Basque", "Write a haiku about \"rain\"",
    "Explain\nthree lines\tand a tab", "Find the bug: for (i=0;;) { a[i] = '\\n' }",
    "数えてください: いち、に、さん 🌊",
    '{"ask": "JSON as a prompt", "n": [1, 2]}', "Summarise: 1,234.50 EUR; 5 % off -- \\u0041",
)  # fmt: skip
_SYSTEMS = ("You are a clerk. Answer briefly.", "Antworte als Förster, in ganzen Sätzen.", 'Be "exact"; cite nothing.')
_PIXEL = "data:image/png;base64,iVBORw0KGgo="


@dataclass(frozen=True)
class Call:
    """One call. body: what the SDK is asked to send. The rest is what everybody who logs it should say."""

    number: int
    api: str
    account: int
    body: Json
    prompt: str
    status: int
    answer: str
    stop: str | None
    tokens: Json
    tool_called: str | None = None
    system: str | None = None
    end_user: str | None = None
    session: str | None = None
    user_agent: str | None = None
    slow: bool = False

    @property
    def stream(self) -> bool:
        """Whether the answer is streamed."""
        return bool(self.body.get("stream"))

    @property
    def account_id(self) -> str:
        """Whom the operator bills."""
        return f"acct-{self.account:02d}"

    @property
    def org_id(self) -> str:
        """The account's organisation."""
        return f"org-{self.account % 4}"

    @property
    def key(self) -> str:
        """The key that the client sends."""
        return f"sk-river-{self.account:02d}-key"

    @property
    def key_id(self) -> str:
        """The operator's name for the key."""
        return f"key-{self.account:02d}"

    @property
    def address(self) -> str:
        """The loopback address that the account calls from."""
        return f"127.0.1.{self.account}"

    @property
    def response_id(self) -> str:
        """The model server's id for the answer."""
        prefix = {"chat": "chatcmpl-", "responses": "resp_", "messages": "msg_", "embeddings": ""}[self.api]
        return f"{prefix}river{self.number:04d}" if prefix else ""


def ticket(text: str) -> int | None:
    """The number of the call that a text belongs to."""
    found = _TICKET.search(text)
    return int(found[1]) if found else None


def calls() -> list[Call]:
    """All calls, in the order in which they are made; the same every time."""
    dice = random.Random(15)  # noqa: S311
    apis = [api for api, count in SHARES.items() for _ in range(count)]
    dice.shuffle(apis)
    places = {api: [i for i, one in enumerate(apis) if one == api] for api in ("chat", "responses", "messages")}
    codes = [code for code, count in FAILURES.items() for _ in range(count)]
    statuses = {places[api].pop(): code for api, code in zip(tuple(places) * len(codes), codes, strict=False)}
    return [_call(number, api, statuses.get(number, 200), dice) for number, api in enumerate(apis)]


def _call(number: int, api: str, status: int, dice: random.Random) -> Call:
    account = number % ACCOUNTS + 1
    prompt = f"{dice.choice(_TOPICS)} (ticket 4{number:03d})"
    if number == 100:
        prompt = f"{prompt} " + "A long letter. " * 2000
    made: Json = {"system": None, "end_user": None, "tool_called": None}
    if api == "embeddings":
        body: Json = {"model": MODELS[api], "input": prompt, "encoding_format": "float"}
        stop = None
        tokens: Json = {"input_tokens": 20 + number, "output_tokens": 0, "cached_tokens": 0, "reasoning_tokens": 0}
    else:
        body = {"model": MODELS[api], **_asked(api, prompt, dice, made)}
        stop = _stop(api, body, made, dice)
        tokens = {
            "input_tokens": 40 + number,
            "output_tokens": 7 + number % 37,
            "cached_tokens": 16 if number % 3 == 0 else 0,
            "reasoning_tokens": 3 if number % 5 == 0 and api != "messages" else 0,
        }
    answer = "" if made["tool_called"] or api == "embeddings" else f'Reply {number}: the Río "Apurímac",\nthen rest.'
    return Call(
        number,
        api,
        account,
        body,
        made.pop("prompt", prompt),
        status,
        answer,
        stop,
        tokens,
        session=f"visit-{account}-{number // 45}" if number % 2 else None,
        user_agent=f"river-client/{account}.2 (batch)" if account % 5 == 0 else None,
        slow=number % 11 == 4,
        **made,
    )


def _asked(api: str, prompt: str, dice: random.Random, made: Json) -> Json:
    """The body beside the model: messages and parameters in the words of the API."""
    maker = {"chat": _chat, "responses": _responses, "messages": _messages}[api]
    body = maker(prompt, dice, made)
    if dice.random() < 0.4:
        body["stream"] = True
        if api == "chat" and dice.random() < 0.8:
            body["stream_options"] = {"include_usage": True}
    if dice.random() < 0.6:
        body["temperature"] = dice.choice([0.0, 0.25, 0.7, 1.0])
    elif dice.random() < 0.5:
        body["top_p"] = dice.choice([0.1, 0.9])
    return body


def _system(dice: random.Random, made: Json) -> str | None:
    made["system"] = dice.choice(_SYSTEMS) if dice.random() < 0.6 else None
    text: str | None = made["system"]
    return text


def _chat(prompt: str, dice: random.Random, made: Json) -> Json:
    messages: list[Json] = []
    if system := _system(dice, made):
        messages.append({"role": dice.choice(["system", "developer"]), "content": system})
    if dice.random() < 0.3:
        messages += [{"role": "user", "content": "And before that?"}, {"role": "assistant", "content": "Nothing."}]
    content: Any = prompt
    if (kind := dice.random()) < 0.15:
        content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": _PIXEL}}]
    elif kind < 0.3:
        content = [{"type": "text", "text": "Two parts:"}, {"type": "text", "text": prompt}]
        made["prompt"] = f"Two parts:\n{prompt}"
    messages.append({"role": "user", "content": content})
    body: Json = {"messages": messages}
    if dice.random() < 0.5:
        body[dice.choice(["max_tokens", "max_completion_tokens"])] = dice.choice([32, 64, 4096])
    if dice.random() < 0.3:
        body["tools"] = [{"type": "function", "function": tool} for tool in _tools(dice)]
        made["tool_called"] = "look_up" if dice.random() < 0.5 else None
    if dice.random() < 0.2:
        body["n"] = 2
    if dice.random() < 0.2:
        body |= {"logprobs": True, "top_logprobs": 2}
    if dice.random() < 0.2:
        body["stop"] = ["END", "\n\n"]
    if dice.random() < 0.15:
        body["response_format"] = {"type": "json_object"}
    if dice.random() < 0.5:
        body[dice.choice(["user", "safety_identifier"])] = made["end_user"] = f"person-{dice.randrange(40)}"
    return body


def _responses(prompt: str, dice: random.Random, made: Json) -> Json:
    body: Json = {"input": prompt}
    if (kind := dice.random()) < 0.25:
        body["input"] = [{"role": "user", "content": [{"type": "input_text", "text": prompt}]}]
    elif kind < 0.5:
        body["input"] = [
            {"role": "user", "content": "Earlier words"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": prompt},
        ]
    if system := _system(dice, made):
        body["instructions"] = system
    if dice.random() < 0.5:
        body["max_output_tokens"] = dice.choice([77, 512])
    if dice.random() < 0.3:
        body["tools"] = [{"type": "function", **tool, "strict": False} for tool in _tools(dice)]
        made["tool_called"] = "look_up" if dice.random() < 0.5 else None
    if dice.random() < 0.2:
        body["text"] = {"format": {"type": "json_object"}}
    if dice.random() < 0.5:
        body[dice.choice(["user", "safety_identifier"])] = made["end_user"] = f"person-{dice.randrange(40)}"
    return body


def _messages(prompt: str, dice: random.Random, made: Json) -> Json:
    content: Any = prompt
    if dice.random() < 0.3:
        content = [{"type": "text", "text": "Two parts:"}, {"type": "text", "text": prompt}]
        made["prompt"] = f"Two parts:\n{prompt}"
    messages: list[Json] = [{"role": "user", "content": content}]
    if dice.random() < 0.3:
        messages = [{"role": "user", "content": "First"}, {"role": "assistant", "content": "Second."}, *messages]
    body: Json = {"messages": messages, "max_tokens": dice.choice([64, 256, 1024])}
    if system := _system(dice, made):
        blocks = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        body["system"] = blocks if dice.random() < 0.5 else system
    if dice.random() < 0.3:
        body["tools"] = [
            {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
            for tool in _tools(dice)
        ]
        made["tool_called"] = "look_up" if dice.random() < 0.5 else None
    if dice.random() < 0.2:
        body["stop_sequences"] = ["END"]
    if dice.random() < 0.5:
        made["end_user"] = f"person-{dice.randrange(40)}"
        body["metadata"] = {"user_id": made["end_user"]}
    return body


def _tools(dice: random.Random) -> list[Json]:
    schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    return [
        {"name": name, "description": f"To {name} a place", "parameters": schema}
        for name in ("look_up", "measure", "compare")[: dice.randint(1, 3)]
    ]


def _stop(api: str, body: Json, made: Json, dice: random.Random) -> str:
    short = dice.random() < 0.2
    if api == "responses":
        return "max_output_tokens" if short and not made["tool_called"] else "completed"
    ended, cut, tool = ("end_turn", "max_tokens", "tool_use") if api == "messages" else ("stop", "length", "tool_calls")
    return tool if made["tool_called"] else cut if short else ended
