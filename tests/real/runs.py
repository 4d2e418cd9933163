"""The runs that leave logs behind: which programs stand between the SDKs and the model server, and what each logs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calls import Json
from servers import HERE, ROOT, litellm, nginx
from upstream import Upstream

OPENAI = ("chat", "responses", "embeddings")
_TEXT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@dataclass(frozen=True)
class Source:
    """A log that somebody wrote. apis: of the calls it could have seen. ids: what names a call in it.

    sent: what the SDKs sent and saw in that run, by number of the call.
    """

    name: str
    log: Path
    apis: Sequence[str]
    ids: str
    sent: Mapping[int, Json]
    map: str | None = None
    distribution: str = ""


def made(python: Path, out: Path) -> list[Source]:
    """Run everything; the logs that it left in the folder."""
    return [*_gateway(python, out / "gateway"), *_conventions(python, out / "conventions"), *_newer(python, out)]


def _called(python: Path, folder: Path, base: str, more: Mapping[str, str], *options: str) -> dict[int, Json]:
    """Make the calls in the other environment; what was sent."""
    sent = folder / "sent.ndjson"
    command = [str(python), str(HERE / "callers.py"), "--base", base, "--sent", str(sent), *options]
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    lines = [json.loads(line) for line in sent.read_text().splitlines()]
    return {line["number"]: line for line in lines}


def _gateway(python: Path, out: Path) -> list[Source]:
    """SDK, nginx, LiteLLM, model server."""
    out.mkdir()
    with (
        Upstream(out) as server,
        litellm(python, out / "litellm", server.address) as gateway,
        nginx(out / "nginx", gateway, server.address) as front,
    ):
        sent = _called(python, out, front, {})
    every = (*OPENAI, "messages")
    return [
        Source("LiteLLM payload", out / "litellm.ndjson", every, "x-litellm-call-id", sent, distribution="litellm"),
        Source("LiteLLM spend rows", out / "litellm" / "spend.ndjson", every, "x-litellm-call-id", sent,
               distribution="litellm"),
    ]  # fmt: skip


def _conventions(python: Path, out: Path) -> list[Source]:
    """Instrumented SDK, nginx, model server."""
    out.mkdir()
    telemetry = out / "telemetry.ndjson"
    options = ("--telemetry", str(telemetry), "--instruments", "openai-v2", "traceloop-anthropic")
    with Upstream(out) as server, nginx(out / "nginx", server.address, server.address) as front:
        sent = _called(python, out, front, {_TEXT: "true"}, *options)
    return [
        Source("nginx", out / "nginx" / "access.log", (*OPENAI, "messages"), "x-request-id", sent, "nginx"),
        Source("OpenAI bodies", out / "server-openai.ndjson", OPENAI, "server", sent, distribution="openai"),
        Source("Anthropic bodies", out / "server-anthropic.ndjson", ["messages"], "server", sent,
               distribution="anthropic"),
        Source("openai-v2", telemetry, OPENAI, "spans", sent, distribution="opentelemetry-instrumentation-openai-v2"),
        Source("Traceloop Anthropic", telemetry, ["messages"], "spans", sent,
               distribution="opentelemetry-instrumentation-anthropic"),
    ]  # fmt: skip


def _newer(python: Path, out: Path) -> list[Source]:
    """Instrumented SDK, model server: the newest conventions, and OpenInference."""
    found = []
    newest = {_TEXT: "SPAN_AND_EVENT", "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
    for name, instrument, apis, distribution, more in (
        ("openai-v2, newest names", "openai-v2", OPENAI, "opentelemetry-instrumentation-openai-v2", newest),
        ("OpenInference OpenAI", "openinference-openai", OPENAI, "openinference-instrumentation-openai", {}),
        ("OpenInference Anthropic", "openinference-anthropic", ("messages",),
         "openinference-instrumentation-anthropic", {}),
    ):  # fmt: skip
        folder = out / name.replace(" ", "-").replace(",", "").lower()
        folder.mkdir()
        telemetry = folder / "telemetry.ndjson"
        options = ("--telemetry", str(telemetry), "--instruments", instrument, "--apis", *apis)
        with Upstream(folder) as server:
            sent = _called(python, folder, server.address, more, *options)
        found.append(Source(name, telemetry, apis, "spans", sent, distribution=distribution))
    return found


def versions(python: Path) -> dict[str, str]:
    """The version of every distribution in the other environment."""
    listed = subprocess.run([str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
                            capture_output=True, text=True, check=True, cwd=ROOT).stdout  # fmt: skip
    return {one["name"].lower(): one["version"] for one in json.loads(listed)}
