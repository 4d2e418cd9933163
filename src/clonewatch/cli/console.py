"""The command that serves the web console."""

from __future__ import annotations

import socket
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import LogKey, StoreAt, opened, user
from clonewatch.cli.dossier import AuditFolders, PriceFile, ScannedLog
from clonewatch.cli.options import Format, Map, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.adapters.reading import Log
    from clonewatch.cases.store import Store
    from clonewatch.service.settings import Provider, Settings
    from clonewatch.service.views.worth import Worths

PORT = 8642
_NEEDS = ("fastapi", "uvicorn", "multipart", "argon2", "authlib", "itsdangerous", "httpx2")
_STORE = "cases.db"
_OIDC = ("--oidc-issuer", "--oidc-client", "--oidc-secret", "--oidc-role")


class _Scanned(TypedDict, total=False):
    """Those of the settings of a console that say more about its result."""

    log: Log | None
    prices: Path | None
    audits: tuple[Path, ...]
    worths: Worths | None


@grouped
def console(
    result: Annotated[
        Path | None,
        typer.Argument(metavar="[RESULT]", help="A result folder: its groups come in, and its evidence is shown."),
    ] = None,
    store: StoreAt = _STORE,
    log_key: LogKey = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="0 takes a free one.")] = PORT,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where people open it, if a proxy with TLS stands before it."),
    ] = None,
    invite: Annotated[
        str | None,
        typer.Option("--invite", metavar="NAME", help="Print a one-time link for a person, made as an admin if new."),
    ] = None,
    oidc_issuer: Annotated[
        str | None, typer.Option("--oidc-issuer", metavar="URL", help="Identity provider (OpenID Connect).")
    ] = None,
    oidc_client: Annotated[
        str | None, typer.Option("--oidc-client", metavar="ID", help="Id of the console at the provider.")
    ] = None,
    oidc_secret: Annotated[
        Path | None, typer.Option("--oidc-secret", metavar="FILE", help="File with the client's secret, for you only.")
    ] = None,
    oidc_role: Annotated[
        list[str] | None, typer.Option("--oidc-role", metavar="GROUP=ROLE", help="Role of a group at the provider.")
    ] = None,
    oidc_groups: Annotated[
        str, typer.Option("--oidc-groups", metavar="CLAIM", help="Claim that lists a person's groups.")
    ] = "groups",
    log: ScannedLog = None,
    mapping: Map = None,
    format: Format = "auto",
    prices: PriceFile = None,
    audit: AuditFolders = None,
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", metavar="FILE", help="A policy to show; may be repeated.")
    ] = None,
    kept: Annotated[
        list[Path] | None,
        typer.Option("--kept", metavar="DIR", help="Older result on which policies are tried; may be repeated."),
    ] = None,
    watch_list: Annotated[
        Path | None,
        typer.Option("--watch-list", metavar="FOLDER", help="Where the list is published that gateways follow."),
    ] = None,
    spool: Annotated[
        Path | None,
        typer.Option(
            "--spool", metavar="FOLDER", help="Spool of `clonewatch serve` on this machine, for the page Live."
        ),
    ] = None,
    canary: Annotated[
        Path | None,
        typer.Option("--canary", metavar="FILE", help="What the last `clonewatch-gateway canary` printed, for Live."),
    ] = None,
) -> None:
    """Open the web console on a case store: the queue, cases and the log, for people who sign in.

    With a result folder its groups are brought in first, as `clonewatch cases import` does; the same one twice changes
    nothing. With the log that was scanned, and prices, the page of a group and dossiers say what its exchanges were
    worth; audits of suspect models go into dossiers. With policies it shows whom they would touch, and what
    gateways were given. Where nobody can sign in yet, it prints a one-time link for the first admin. It listens on this
    machine only, unless you say otherwise. Stop it with Ctrl-C. docs/using/console.md shows its pages.

    For example:

      clonewatch console demo/scan

      clonewatch console result --log logs/ --prices prices.toml

      clonewatch console --store postgresql://clonewatch@db/cases --log-key log.key --url https://console.example
    """
    if lacking := [name for name in _NEEDS if find_spec(name) is None]:
        raise SetupError(
            f"the console needs {', '.join(lacking)}", fix="Install the extra: pip install 'clonewatch[console]'"
        )
    held = opened(store, log_key, create=True)
    if result is not None:
        _import(held, result)
    scanned = _scanned(result, log or [], format, mapping, prices, tuple(audit or ()))
    if policy and find_spec("cel") is None:
        raise SetupError("policies need the library cel", fix="Install the extra: pip install 'clonewatch[policy]'")
    with closing(listening(host, port)) as listener:
        address = f"http://{_bracketed(host)}:{listener.getsockname()[1]}"
        from clonewatch.service.settings import Settings

        given = (oidc_issuer, oidc_client, oidc_secret, oidc_role)
        provider = _provider(*given, oidc_groups) if any(given) else None
        made = Settings(store, log_key, url or address, result, provider, **scanned)
        made = made._replace(policies=tuple(policy or ()), kept=tuple(kept or ()), watch_list=watch_list)
        made = made._replace(spool=spool, canary=canary)
        _serve(made, held, listener, invite)


def _scanned(
    result: Path | None, log: list[str], format: str, mapping: str | None, prices: Path | None, audits: tuple[Path, ...]
) -> _Scanned:
    """What is known of a result beside it: the log that was scanned, prices and audits."""
    if result is None and (log or prices or audits):
        raise SetupError(
            "a log, prices and audits are about a result",
            fix="Pass it as well: clonewatch console RESULT --log PATH",
        )
    if not log:
        if prices:
            raise SetupError("prices need the log: the tables of a scan hold no tokens", fix="Pass --log PATH as well")
        return {"audits": audits}
    from clonewatch.adapters.reading import open_log
    from clonewatch.service.views.worth import counted

    opened_log = open_log(tuple(log), format=format, mapping=Path(mapping) if mapping else None)
    worths = counted(result, opened_log, prices) if result else None
    return {"audits": audits, "log": opened_log, "prices": prices, "worths": worths}


def _serve(settings: Settings, store: Store, listener: socket.socket, invite: str | None) -> None:
    from clonewatch.service.serving import serve
    from clonewatch.service.settings import check

    check(settings)
    output.say(f"The console is at {settings.url}. Stop it with Ctrl-C.")
    if link := _link(settings, store, invite):
        output.say(f"Sign in first with this link, which works once and for a day: {link}")
    serve(settings, listener)


def _link(settings: Settings, store: Store, invite: str | None) -> str:
    """A link for whoever is invited, or for the first admin; empty where nobody needs one."""
    from clonewatch.cases import people
    from clonewatch.cases.changes import Who

    with store.reading() as held:
        found = people.everybody(held.connection)
    ready = any(one.may(people.ADMIN) and (one.password or one.subject) for one in found)
    if invite is None and (ready or settings.provider):
        return ""
    admins = [one.name for one in found if one.may(people.ADMIN)]
    name = invite or (admins[0] if admins else "admin")
    with store.writing() as change:
        who = Who(user(), settings.clock())
        if people.find(change.connection, name) is None:
            people.add(change, name, people.ADMIN, who)
        token = people.new_link(change, name, who)
    return f"{settings.url.rstrip('/')}/welcome/{token}"


def _import(store: Store, result: Path) -> None:
    from clonewatch.cases.arrivals import arrive, groups
    from clonewatch.pipeline.scan_result import read_summary, table_paths
    from clonewatch.service.settings import now

    found = groups(table_paths(result), read_summary(result))
    with store.writing() as change:
        arrived = arrive(change, found, user(), now())
    count = len(arrived.opened)
    output.say(f"{count:,} case{'' if count == 1 else 's'} opened, {len(arrived.again):,} seen again.")


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises SetupError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only where the protocol is named; else each answer waits for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From here on browsers wait, rather than being refused, until the pages are there.
        listener.listen()
    except OSError as error:
        listener.close()
        raise SetupError(
            f"cannot listen: {error.strerror or error}", where=f"{host}:{port}", fix="Choose another --port or --host"
        ) from error
    return listener


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _provider(
    issuer: str | None, client: str | None, secret: Path | None, roles: list[str] | None, groups: str
) -> Provider:
    from clonewatch.model.secret_files import read_secret
    from clonewatch.service.settings import Provider

    if not (issuer and client and secret and roles):
        raise SetupError("the identity provider is not fully named", fix=f"Pass all of {', '.join(_OIDC)}")
    pairs = [tuple(one.rsplit("=", 1)) for one in roles]
    if any(len(pair) != 2 for pair in pairs):
        raise SetupError("a role has no group", fix="Write --oidc-role GROUP=analyst")
    text = read_secret(secret, "the secret of the identity provider").decode("utf-8", "replace").strip()
    return Provider(issuer, client, text, tuple((pair[0], pair[1]) for pair in pairs), groups)
