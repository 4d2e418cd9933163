"""The command `clonewatch-gateway`: answer questions over HTTP, look at a watch list, prove that gateways act."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

from clonewatch_gateway import envoy
from clonewatch_gateway.canary import Canary, Gap, proved
from clonewatch_gateway.check import Service
from clonewatch_gateway.entries import faults
from clonewatch_gateway.envoy import NotInstalled as NoGrpc
from clonewatch_gateway.following import Follower
from clonewatch_gateway.periodic import Periodic
from clonewatch_gateway.processing import Attributes, Exchange
from clonewatch_gateway.pulling import PERIOD, NotPulled, Puller
from clonewatch_gateway.redis_counters import NotInstalled as NoRedis
from clonewatch_gateway.redis_counters import RedisMinutes, connected
from clonewatch_gateway.renewing import PERIOD as RENEWAL
from clonewatch_gateway.renewing import Certificate, Trusted
from clonewatch_gateway.serving import NotInstalled, listening, serve
from clonewatch_gateway.watch_list import Keys, trusted

# A password does not belong on a command line.
REDIS_VARIABLE = "CLONEWATCH_REDIS"
EXIT_SETUP, EXIT_STALE, EXIT_GAP = 2, 3, 3


def run(words: Sequence[str] | None = None) -> int:
    """Run the command. words: of the command line; default: those of the process. Returns the exit code."""
    parser = _parser()
    given = parser.parse_args(words)
    if given.command == "pull":
        return _pull(given.url, given.folder, given.period, given.once)
    if given.command == "canary":
        return _canary(given)
    try:
        if not given.trust and not given.trust_file:
            raise ValueError("no key is trusted: name one with --trust, or a file with --trust-file")
        keys = Keys(trusted(given.trust), bytes.fromhex(given.account_key.read_text(encoding="ascii").strip()))
        follower = Follower(given.folder, keys, memory=given.memory, shared=given.shared, said=_warn)
        watched: list[Trusted | Certificate] = []
        if given.trust_file:
            watched.append(Trusted(given.trust_file, keys.trusted, follower, _tell))
            follower.look()
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    if given.command == "show":
        return _show(follower)
    try:
        counters = RedisMinutes(connected(given.redis), said=_warn_counters) if given.redis else None
    except (ValueError, NoRedis) as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    return _serve(Service(follower, given.answer_tokens, counters), given, watched)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clonewatch-gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="answer POST /v1/check with decisions")
    pull = commands.add_parser("pull", help="fetch a watch list from a web server into a folder")
    pull.add_argument("url", metavar="URL", help="of the folder with snapshot.cwl")
    pull.add_argument("--folder", type=Path, required=True, help="where it goes")
    pull.add_argument("--period", type=float, default=PERIOD, help="seconds between looks (default: %(default)s)")
    pull.add_argument("--once", action="store_true", help="look once, and end with exit code 3 where that fails")
    show = commands.add_parser("show", help="say what a watch list holds, and whether it is in use")
    canary = commands.add_parser(
        "canary", help="see that a gateway refuses the canary that was published, and serves it after"
    )
    canary.add_argument("url", metavar="URL", help="of the gateway, as clients call it")
    canary.add_argument("--header", action="append", default=[], help="NAME: VALUE; may be repeated")
    canary.add_argument("--header-file", type=Path, help="file with such headers, one a line, for keys")
    canary.add_argument("--body", help="JSON text to send by POST; default: GET")
    canary.add_argument(
        "--within",
        type=float,
        default=15,
        help="seconds that a list may take to reach the gateway (default: %(default)s)",
    )
    for command in (check, show):
        command.add_argument("--folder", type=Path, required=True, help="where the watch list is published")
        command.add_argument("--trust", action="append", default=[], help="public key, ed25519:...; may be repeated")
        command.add_argument(
            "--trust-file", type=Path, help="file of such keys, one a line, read again when it changes"
        )
        command.add_argument("--account-key", type=Path, required=True, help="file with the secret of account hashes")
        command.add_argument("--memory", type=Path, help="file that remembers the highest serial number seen")
        command.add_argument("--shared", type=Path, help="folder of your own in which workers share copies of the list")
    check.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    check.add_argument("--port", type=int, default=8643, help="port to listen on; 0 takes a free one")
    check.add_argument("--certificate", type=Path, help="PEM file for TLS, read again when it changes")
    check.add_argument("--private-key", type=Path, help="PEM file, with --certificate")
    check.add_argument(
        "--grpc",
        type=int,
        metavar="PORT",
        help="answer Envoy's ext_proc over gRPC on this port too; 0 takes a free one",
    )
    check.add_argument(
        "--attributes",
        metavar="MODULE:FUNCTION",
        help="with --grpc: a function of yours from the body of a request to its attributes, for throttles of a slice",
    )
    check.add_argument(
        "--answer-tokens",
        type=int,
        default=0,
        help="tokens that budgets count for an answer, where the gateway asks by headers (default: %(default)s)",
    )
    check.add_argument(
        "--redis",
        metavar="URL",
        default=os.environ.get(REDIS_VARIABLE, ""),
        help=f"redis:// in which gateways on several machines count budgets together; default: {REDIS_VARIABLE}",
    )
    return parser


def _pull(url: str, folder: Path, period: float, once: bool) -> int:
    try:
        puller = Puller(url, folder)
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    stop, said = threading.Event(), ""
    for number in (signal.SIGINT, signal.SIGTERM) if not once else ():
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        problem = ""
        try:
            puller.pull()
        except (NotPulled, OSError) as error:
            problem = str(error)
        if problem and problem != said:
            _warn("not_pulled", problem)
        if once:
            return EXIT_STALE if problem else 0
        said = problem
        stop.wait(period)
    return 0


def _show(follower: Follower) -> int:
    watch = follower.current
    idle = follower.idle()
    held = watch.entries() if watch else []
    kinds = Counter((one.named, "enforce" if one.enforce else "shadow") for one in held)
    told = {
        "list": watch.origin if watch else None,
        "accounts": watch.accounts if watch else 0,
        "valid_until": watch.valid_until if watch else None,
        "in_use": not idle,
        "problem": follower.problem or idle,
        "entries": {f"{action}, {mode}": count for (action, mode), count in sorted(kinds.items())},
        "incomplete": [why for one in held for why in faults(one)],
        "unknown_actions": sorted({one.named for one in held if one.action is None}),
    }
    print(json.dumps(told, indent=2))
    return EXIT_STALE if idle else 0


def _canary(given: argparse.Namespace) -> int:
    try:
        lines = [*given.header]
        if given.header_file:
            lines += given.header_file.read_text(encoding="latin-1").splitlines()
        pairs = [line.partition(":") for line in lines if line.strip()]
        headers = {name.strip(): value.strip() for name, _, value in pairs}
        if not all(headers) or not all(colon for _, colon, _ in pairs):
            raise ValueError("a header is NAME: VALUE")
        if not given.url.startswith(("http://", "https://")):
            raise ValueError("the address of the gateway begins with http:// or https://")
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    body = given.body.encode() if given.body is not None else None
    if body is not None:
        headers = {"content-type": "application/json", **headers}
    try:
        seen = proved(Canary(given.url, headers, body, given.within))
    except Gap as gap:
        print(f"GAP: the canary at {given.url}: {gap}", file=sys.stderr)
        return EXIT_GAP
    print(json.dumps({"proved": True, **seen._asdict()}))
    return 0


def _serve(service: Service, given: argparse.Namespace, watched: list[Trusted | Certificate]) -> int:
    host, counters = given.host, service.counters
    certificate = None
    try:
        if bool(given.certificate) != bool(given.private_key):
            raise ValueError("TLS needs --certificate and --private-key")
        if given.certificate:
            certificate = Certificate(given.certificate, given.private_key, _tell)
            watched.append(certificate)
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    try:
        attributes = _function(given.attributes) if given.attributes else None
        listener = listening(host, given.port)
    except OSError as error:
        print(f"Error: cannot listen on {host}:{given.port}: {error.strerror}", file=sys.stderr)
        return EXIT_SETUP
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    print(f"Listening on {'https' if certificate else 'http'}://{host}:{listener.getsockname()[1]}", flush=True)
    renewal = Periodic("clonewatch-renewal", partial(_renewed, watched))
    try:
        service.follower.start()
        renewal.start()
        if isinstance(counters, RedisMinutes):
            counters.start()
        for_envoy = partial(_for_envoy, service, given, attributes, certificate)
        serve(service, listener, certificate, None if given.grpc is None else for_envoy)
    except (NotInstalled, NoGrpc, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_SETUP
    finally:
        renewal.stop()
        service.follower.stop()
        if isinstance(counters, RedisMinutes):
            counters.stop()
    return 0


@asynccontextmanager
async def _for_envoy(
    service: Service, given: argparse.Namespace, attributes: Attributes | None, certificate: Certificate | None
) -> AsyncIterator[None]:
    """Answer Envoy over gRPC meanwhile."""
    host = f"[{given.host}]" if ":" in given.host else given.host
    server, port = await envoy.started(lambda: Exchange(service, attributes), f"{host}:{given.grpc}", certificate)
    print(f"Listening for Envoy on {host}:{port}", flush=True)
    try:
        yield
    finally:
        await server.stop(envoy.GRACE)


def _renewed(watched: list[Trusted | Certificate]) -> float:
    for one in watched:
        one.look()
    return RENEWAL


def _function(text: str) -> Attributes:
    """A function by its module and name. Raises ValueError."""
    module, _, name = text.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"--attributes: there is no {text!r}: {error}") from error
    if not callable(found):
        raise ValueError(f"--attributes: {text!r} is no function")
    made: Attributes = found
    return made


def _warn_counters(said: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {said}", file=sys.stderr)


def _tell(code: str, said: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {code}: {said}", file=sys.stderr)


def _warn(code: str, said: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} watch list not used: {code}: {said}", file=sys.stderr)
