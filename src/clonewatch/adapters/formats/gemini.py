"""Calls to Gemini or Vertex AI (generateContent) as a gateway logs them."""

from __future__ import annotations

from collections.abc import Iterator

from clonewatch.adapters.envelopes import read_calls, wire
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


class Gemini(Adapter):
    """Reads one JSON object per call: the gateway's facts, `request` and `response`, streamed or not."""

    name = "gemini"
    summary = "logged Gemini and Vertex AI calls with their bodies"
    account_hint = "log the account as `account_id` beside `request`, or map the field that holds it"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object contains a request body of this API."""
        return wire(head) == "gemini"

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 calls."""
        return read_calls(source, mapping, "gemini")


ADAPTER = Gemini()
