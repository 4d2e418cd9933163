"""Real servers on free ports of loopback, each stopped by whoever started it: nginx and the LiteLLM proxy."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
_PATIENCE = 120  # seconds for a server to come up


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


@contextmanager
def running(command: Sequence[str], folder: Path, health: str, more: Mapping[str, str]) -> Iterator[None]:
    """A server until the block ends; what it says goes to a file, which a failure quotes."""
    said = folder / f"{Path(command[0]).name}.log"
    with said.open("w") as out:
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, env={**os.environ, **more})
        try:
            _wait(server, health, said)
            yield
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(server: subprocess.Popen[bytes], health: str, said: Path) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=2):  # noqa: S310
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{said.stem} does not come up:\n{said.read_text()[-2000:]}")


# ---- nginx -----------------------------------------------------------------------------------------------------------

_NGINX = """
daemon off; pid nginx.pid; error_log error.log warn; worker_processes 1; {user}
events {{ worker_connections 128; }}
http {{
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{log_format}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      auth_request /whose; auth_request_set $account_id $upstream_http_x_account_id;
      access_log access.log clonewatch;
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr;
      add_header X-Request-Id $request_id always;
    }}
    location = /whose {{
      internal; proxy_pass {accounts}; proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
}}
"""


def documented_log_format() -> str:
    """The `log_format` that the page of the format tells operators to use, with its buffer size."""
    page = (ROOT / "docs" / "using" / "formats" / "nginx.md").read_text()
    found = re.search(
        r"^    log_format clonewatch.*?;\n    client_body_buffer_size [^\n]*\n", page, re.DOTALL | re.MULTILINE
    )
    if found is None:
        raise RuntimeError("docs/using/formats/nginx.md shows no log_format any more")
    return textwrap.dedent(found[0])


def nginx_version() -> str:
    """Its version, "" where it is not installed."""
    if shutil.which("nginx") is None:
        return ""
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


@contextmanager
def nginx(folder: Path, upstream: str, accounts: str) -> Iterator[str]:
    """Nginx before a model server or a gateway, as the user who starts it; its address.

    It logs to access.log in the folder. accounts: the server that knows whose a key is.
    """
    folder.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # else it becomes `nobody`, who may not write here
    text = _NGINX.format(user=user, log_format=documented_log_format(), port=port, upstream=upstream, accounts=accounts)
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-e", "error.log", "-c", "nginx.conf"]
    with running(command, folder, f"http://127.0.0.1:{port}/whose", {}):
        yield f"http://127.0.0.1:{port}"


# ---- LiteLLM ---------------------------------------------------------------------------------------------------------

_PRICE = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def _model(name: str, provider: str, base: str) -> dict[str, object]:
    routed = {"model": f"{provider}/{name}", "api_base": base, "api_key": "none", **_PRICE}
    return {"model_name": name, "litellm_params": routed, "model_info": _PRICE}


def litellm_config(upstream: str) -> dict[str, object]:
    """The proxy's configuration: as its page says, with prompts in the spend rows, and no retries of failures."""
    models = [
        _model("river-chat", "openai", f"{upstream}/v1"),
        _model("river-embed", "openai", f"{upstream}/v1"),
        _model("claude-river", "anthropic", upstream),
    ]
    return {
        "model_list": models,
        "litellm_settings": {"callbacks": ["generic_api", "litellm_hooks.spend"], "num_retries": 0},
        "callback_settings": {
            "generic_api": {
                "callback_type": "generic_api", "endpoint": f"{upstream}/sink", "log_format": "ndjson", "headers": {},
            }
        },
        "router_settings": {"disable_cooldowns": True, "num_retries": 0},
        "general_settings": {
            "custom_auth": "litellm_hooks.user_api_key_auth",
            "store_prompts_in_spend_logs": True,
            "use_x_forwarded_for": True,
        },
    }  # fmt: skip


@contextmanager
def litellm(python: Path, folder: Path, upstream: str) -> Iterator[str]:
    """The LiteLLM proxy; its address. Its payloads go to the model server's sink, its spend rows to spend.ndjson."""
    folder.mkdir()
    port = free_port()
    (folder / "config.yaml").write_text(json.dumps(litellm_config(upstream), indent=1))
    for name in ("calls.py", "litellm_hooks.py"):
        shutil.copy(HERE / name, folder)  # it looks for what the configuration names beside it
    more = {
        "LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(24)}",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "REAL_SPEND_ROWS": str(folder / "spend.ndjson"),
        "PYTHONPATH": str(folder),
        "GENERIC_LOGGER_ENDPOINT": f"{upstream}/sink",
        "DEFAULT_FLUSH_INTERVAL_SECONDS": "1",
    }
    command = [str(python.with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with running([*command, "--telemetry", "False"], folder, f"{address}/health/liveliness", more):
        yield address
        time.sleep(4)  # it hands its last payloads over every second
