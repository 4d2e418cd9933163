"""The command that takes live traffic: batches over the network into a state, looks, and a watch list."""

from __future__ import annotations

import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import opened
from clonewatch.cli.console import listening
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from clonewatch.cases.store import Store
    from clonewatch.enforcement.publication import Publisher
    from clonewatch.live.settings import Settings
    from clonewatch.pipeline.daily.growing import Grown

_NEEDS = ("starlette", "uvicorn", "httptools", "prometheus_client", "opentelemetry.proto", "grpc")


@grouped
def serve(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[SETTINGS]", help="TOML file, as in docs/using/live.md; it holds the keys."),
    ] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="DIR", help="Folder of the state.")] = None,
    spool: Annotated[
        str | None, typer.Option("--spool", metavar="DIR", help="Folder where batches wait; prompts pass through it.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Folder for the results, one subfolder per window.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Address to listen on; port 0 takes a free one.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="FILE", help="Secret for the hashes of the state.")
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option("--new-key", metavar="NAME", help="Print a key for a sender and its settings, and end."),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="SCOPE", help="What --new-key may: write:exchanges, write:events, read:metrics."
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say what the settings come to, and end.")] = False,
    json: Json = False,
) -> None:
    """Take exchanges as they happen: OTLP, LiteLLM or JSON over HTTP, into a state in which groups are looked for.

    What is pushed is on the disk before it is acknowledged, and in the state a minute later; its prompts are removed
    then. Every few minutes groups are looked for, and with a policy the watch list is published. Senders need keys.
    Stop it with Ctrl-C or SIGTERM. docs/using/live.md walks from nothing to a flagged group.

    For example:

      clonewatch serve --new-key gateway

      clonewatch serve serve.toml --state state --spool spool --out results
    """
    if lacking := [name for name in _NEEDS if not _is_there(name)]:
        raise SetupError(
            f"the service needs {', '.join(lacking)}", fix="Install the extra: pip install 'clonewatch[serve]'"
        )
    from clonewatch.live.api_keys import SCOPES
    from clonewatch.live.settings import read, shown

    if new_key is not None:
        _make_key(new_key, tuple(scope or ("write:exchanges",)), SCOPES)
        return
    given = {"state": state, "spool": spool, "results": out, "fingerprint_key": key}
    settings = _chosen(read(config), given, listen)
    if check:
        _tell(shown(settings), json=json)
        return
    _serve(settings, config)


def _serve(settings: Settings, config: Path | None) -> None:
    if not settings.keys:
        raise SetupError(
            "no key is known, so nobody may send anything",
            fix="Make one with `clonewatch serve --new-key NAME`, and put what it prints into the settings",
        )
    from functools import partial

    from clonewatch.live.settings import read
    from clonewatch.service.receiving.renewing import Reread
    from clonewatch.service.receiving.serving import serve as run

    _refuse_now(settings)
    publisher = Publishing(settings) if settings.publish.policy else None
    with closing(listening(settings.listen.host, settings.listen.port)) as listener:
        host = f"[{settings.listen.host}]" if ":" in settings.listen.host else settings.listen.host
        scheme = "https" if settings.listen.certificate else "http"
        output.say(f"Batches are taken at {scheme}://{host}:{listener.getsockname()[1]}. Stop it with Ctrl-C.")
        run(settings, listener, publisher, Reread(config, partial(read, config)) if config else None)


def _refuse_now(settings: Settings) -> None:
    """Refuse what the worker would stumble over in a minute. Raises SetupError."""
    from clonewatch.fingerprints.keys import load_key
    from clonewatch.live.bodies import Sources
    from clonewatch.live.bus import check

    Sources(settings.maps)
    load_key(Path(settings.fingerprint_key) if settings.fingerprint_key else None)
    if settings.bus:
        check(settings.bus)
    if held := settings.publish if settings.publish.policy else None:
        from clonewatch.kernels.signing_keys import private_key
        from clonewatch.policy.account_keys import account_secret
        from clonewatch.policy.policy_file import read

        read(Path(held.policy))
        private_key(Path(held.signing_key))
        account_secret(Path(held.account_key))


class Publishing:
    """Publishes for a worker: what it finds, and at once what people decide between two looks.

    It goes to the worker's process as its settings. One that is at work holds open files and keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: tuple[Publisher, Store | None] | None = None

    def __reduce__(self) -> tuple[type[Publishing], tuple[Settings]]:
        """As it is made again in another process."""
        return Publishing, (self._settings,)

    def __call__(self, scans: list[Path], grown: list[list[Grown]]) -> tuple[int, int]:
        """Publish what the policy says of results, and of accounts that joined groups of each since.

        Returns the serial number of the list, and how many accounts it has.
        """
        publisher, _ = self._opened()
        publisher.use(scans, grown)
        done = publisher.publish(int(time.time())).done
        return done.serial, done.accounts

    def follow(self, told: Callable[[int, int], None], said: Callable[[str], None], stop: threading.Event) -> None:
        """Publish again after every change of the store, until it is stopped: nothing without a store.

        told: called with the serial number and the accounts of each list. said: called with what is wrong.
        """
        from clonewatch.enforcement.publication import follow

        publisher, store = self._opened()
        if store is not None:
            follow(publisher, store, lambda one: told(one.done.serial, one.done.accounts), said, stop, None)

    def _opened(self) -> tuple[Publisher, Store | None]:
        from clonewatch.enforcement.publication import Place, Publisher
        from clonewatch.kernels.signing_keys import private_key
        from clonewatch.policy.account_keys import account_secret
        from clonewatch.policy.watch_list_file import Signing

        if self._held is None:
            held = self._settings.publish
            signing = Signing(private_key(Path(held.signing_key)), account_secret(Path(held.account_key)))
            place = Place(Path(held.out), held.list, signing, int(held.valid_hours * 3_600))
            cases = opened(held.store) if held.store else None
            self._held = Publisher(Path(held.policy), (), cases, place), cases
        return self._held


def _chosen(settings: Settings, given: dict[str, str | None], listen: str | None) -> Settings:
    """The settings with what the command line says."""
    import msgspec

    settings = msgspec.structs.replace(settings, **{name: value for name, value in given.items() if value is not None})
    if listen is not None:
        host, colon, port = listen.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65_535:
            raise SetupError(f"{listen!r} is no address", where="--listen", fix="Write --listen 127.0.0.1:4318")
        at = msgspec.structs.replace(settings.listen, host=host.strip("[]"), port=int(port))
        settings = msgspec.structs.replace(settings, listen=at)
    return settings


def _make_key(name: str, scopes: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(scopes) - set(known)):
        raise SetupError(f"there is no scope {unknown[0]!r}", where="--scope", fix=f"There are: {', '.join(known)}")
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise SetupError(f"{name!r} is no name of a key", where="--new-key", fix="Use letters, digits, - and _")
    from clonewatch.live.api_keys import new

    key, hashed = new()
    output.say(
        f"The key, which is shown once: {key}",
        "Put this into the settings; it holds a hash only:",
        "",
        f"[keys.{name}]",
        f'sha256 = "{hashed}"',
        f"scopes = {list(scopes)}".replace("'", '"'),
    )


def _tell(held: dict[str, object], *, json: bool) -> None:
    if json:
        output.as_json(held)
        return
    for name, value in held.items():
        if isinstance(value, dict):
            for inner, one in value.items():
                output.say(f"{name}.{inner} = {one}")
        else:
            output.say(f"{name} = {value}")


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
