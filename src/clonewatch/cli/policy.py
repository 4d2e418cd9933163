"""The commands on policies: check and test one, and publish the watch list that gateways follow."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.cli.case_options import opened
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.enforcement.publication import Told
    from clonewatch.policy.policy_file import Policy

EXIT_FAILED = 3
_HOUR = 3_600

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PolicyFile = Annotated[Path, typer.Argument(metavar="POLICY", help="TOML file of a policy, as examples/policy.toml.")]
Scans = Annotated[
    list[Path], typer.Option("--scan", "-s", metavar="DIR", help="Folder that a scan wrote; may be repeated.")
]
ScansIfAny = Annotated[
    list[Path] | None,
    typer.Option(
        "--scan",
        "-s",
        metavar="DIR",
        help="Folder that a scan wrote; may be repeated. A policy of a canary alone needs none.",
    ),
]
StoreGiven = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="STORE", help="Case store with the measures that people approved; without it all is shadow."
    ),
]


@app.callback()
def policy() -> None:
    """Say which accounts of a scan gateways act on, how, within which bounds, and publish that as a signed watch list.

    A policy is a TOML file of rules. Whatever it says is simulated, unless the rule says `mode = "enforce"` and two
    persons approved a measure of that kind against the account in the case store. docs/using/policies.md walks through.

    For example:

      clonewatch policy check policy.toml

      clonewatch policy publish policy.toml --scan result --out list --signing-key list.pem --account-key account.key
    """


@app.command("check", short_help="Say what is wrong with a policy, by line.")
@grouped
def check(file: PolicyFile, json: Json = False) -> None:
    """Say everything that is wrong with a policy, by line. Rules by volume, country or name are refused, with reasons.

    For example:

      clonewatch policy check policy.toml
    """
    held = _read(file)
    if json:
        output.as_json(
            {
                "policy": held.name,
                "version": held.version,
                "rules": [_told(rule) for rule in held.rules],
                "canary": held.canary._asdict() if held.canary else None,
            }
        )
        return
    output.say(f"{held.name}, version {held.version}: {len(held.rules):,} rules, nothing is wrong with them.")
    if held.canary:
        output.say(f"The canary {held.canary.account}: {held.canary.mode}, {held.canary.seconds} seconds.")
    rows = [(r.id, r.action.name, r.mode, _bound(r.bound), r.days, r.approvals, r.when.text) for r in held.rules]
    output.table("", ("Rule", "Action", "Mode", "Bound", "Days", "Approvals", "When"), rows, right=(4, 5))


@app.command("test", short_help="Run the examples of a policy.")
@grouped
def test(file: PolicyFile, json: Json = False) -> None:
    """Run the examples of a policy: facts, and the rule that they have to give. Exit code 3 where one fails.

    For example:

      clonewatch policy test policy.toml
    """
    held = _read(file)
    from clonewatch.policy.matching import failures

    failed = list(failures(held))
    if json:
        output.as_json({"examples": len(held.examples), "failed": [one._asdict() for one in failed]})
    else:
        output.say(f"{len(held.examples) - len(failed):,} of {len(held.examples):,} examples give what they say.")
        output.say(*(f"{file}:{f.line}: {f.name!r} gives {f.gave}, not {f.wanted}" for f in failed))
        if not held.examples:
            output.say("The policy has no examples: a rule that nothing tests is a guess.")
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command("publish", short_help="Write the signed watch list for gateways.")
@grouped
def publish(
    file: PolicyFile,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder that gateways follow.")],
    signing_key: Annotated[
        Path, typer.Option("--signing-key", metavar="FILE", help="Ed25519 key in PEM that signs the list.")
    ],
    account_key: Annotated[
        Path,
        typer.Option(
            "--account-key",
            metavar="FILE",
            help="Secret for the hashes of account ids, as gateways have it: 64 hex digits.",
        ),
    ],
    scan: ScansIfAny = None,
    store: StoreGiven = None,
    name: Annotated[str, typer.Option("--list", metavar="NAME", help="Name of the list.")] = "accounts",
    valid_hours: Annotated[
        float,
        typer.Option("--valid-hours", metavar="H", min=0.01, max=168, help="After this time gateways only observe."),
    ] = 24.0,
    whole: Annotated[bool, typer.Option("--whole", help="Write all of it, even where a delta would do.")] = False,
    stay: Annotated[
        bool, typer.Option("--follow", help="Stay, and publish again at once after every change of the store.")
    ] = False,
    every: Annotated[
        float,
        typer.Option("--every", metavar="SECONDS", min=1, max=86_400, help="With --follow: also after this time."),
    ] = 300.0,
    json: Json = False,
) -> None:
    """Write what the policy says of the accounts of scans as a signed watch list. Publish again to renew or to lift.

    Account ids are in it as keyed hashes. Rules are enforced against accounts under a measure of their kind in the
    store, and simulated against all others. What is not published again lapses. The policy's canary is limited for some
    seconds from now on: `clonewatch-gateway canary` proves that a gateway did it.

    With --follow it stays until it is stopped, and a measure that is taken back is lifted within seconds. It reads the
    policy and the scans anew each time; while one of them is faulty, it keeps to what it read before, and says so.

    For example:

      clonewatch policy publish policy.toml --scan result --out list --signing-key list.pem --account-key account.key

      clonewatch policy publish policy.toml -s result --store cases.db --follow -o list --signing-key k --account-key a
    """
    held = _read(file)
    if stay and not store:
        raise SetupError("there is nothing to follow without a store", fix="Name the case store with --store")
    from clonewatch.enforcement.publication import Place, Publisher, follow
    from clonewatch.policy.account_keys import account_secret
    from clonewatch.policy.watch_list_file import Signing

    if held.rules and not scan:
        raise SetupError("the policy has rules, and no scan is named", where=str(file), fix="Name one with --scan")
    signing = Signing(_signer(signing_key), account_secret(account_key))
    cases = opened(store) if store else None
    publisher = Publisher(file, scan or [], cases, Place(out, name, signing, int(valid_hours * _HOUR), whole))
    key = _public(signing.public)
    if not stay or cases is None:
        _say_published(publisher.publish(int(time.time())), key, json)
        return

    def told(one: Told) -> None:
        _say_published(one, key, json) if json else output.say(_line(one))

    follow(publisher, cases, told, output.complain, until_stopped(), every)


def until_stopped() -> threading.Event:
    """Set when somebody stops this process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _line(told: Told) -> str:
    done = told.done
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    enforced, simulated = sum(told.enforced.values()), sum(told.simulated.values())
    return f"{moment} {done.kind} {done.serial}: {enforced:,} accounts enforced, {simulated:,} simulated."


def _say_published(told: Told, key: str, json: bool) -> None:
    done, held = told.done, told.policy
    if json:
        counts = told._asdict()
        for name in ("policy", "done", "problem"):
            del counts[name]
        output.as_json(
            {**done._asdict(), **counts, "canary": told.canary.account if told.canary else None, "public_key": key}
        )
        return
    output.say(
        f"Wrote {done.path}: a {done.kind} with serial number {done.serial}, {done.rows:,} rows, {done.size:,} bytes;"
        f" the list has {done.accounts:,} accounts."
    )
    rows = [(r.id, r.action.name, told.enforced.get(r.id, 0), told.simulated.get(r.id, 0)) for r in held.rules]
    output.table("Accounts by rule", ("Rule", "Action", "Enforced", "Simulated"), rows, right=(2, 3))
    for rule, count in told.undecided.items():
        output.say(f"{rule}: a fact that it needs is not known of {count:,} accounts, so it does not hold for them.")
    for measure, count in told.unbound.items():
        output.say(f"{count:,} accounts are under the measure {measure}, and no rule enforces it within bounds.")
    if told.bystanders:
        output.say(f"{told.bystanders:,} honest customers of campaigns' proxies are left out, whatever rules say.")
    if told.cleared:
        output.say(f"{told.cleared:,} accounts that people cleared are left out: one evidence acts on nobody twice.")
    if own := told.canary:
        output.say(f"The canary {own.account} is limited for {own.seconds} seconds, in mode {own.mode}.")
    elif held.canary:
        output.say(f"The canary {held.canary.account} is left out: it is in a group or under a measure. Use another.")
    output.say(f"Key that gateways check it with: {key}")


@app.command("backtest", short_help="Say what a policy would have done on kept results.")
@grouped
def backtest(
    file: PolicyFile,
    scan: Scans,
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER]", help="Another policy, to compare it with the first.")
    ] = None,
    store: StoreGiven = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", metavar="DATE", formats=["%Y-%m-%d"], help="First day; default: the first of all."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", metavar="DATE", formats=["%Y-%m-%d"], help="Last day; default: the last of all."),
    ] = None,
    minutes: Annotated[
        list[str] | None,
        typer.Option(
            "--minutes", metavar="NAME=MINUTES", help="Work of people for an account under an action, or for a `case`."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page too, with its picture.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a policy would have stopped on kept results, what leaked before, and whom it would have touched.

    It decides at the end of each result's window, so give several, such as those of every day. Rules in shadow count as
    if they were enforced. With --from and --to those results count that end on these days, and exchanges of these days.
    With a store, accounts that it touches are split by what people ruled about them; rules see only what was ruled
    before the end of a window. Two policies are tried on the same results.

    For example:

      clonewatch policy backtest policy.toml --scan results/2026-05-01 --scan results/2026-05-02 --store cases.db

      clonewatch policy backtest policy.toml milder.toml -s results/2026-05-01 --from 2026-04-20 --html backtest.html
    """
    held = [_read(one) for one in (file, other) if one]
    from clonewatch.enforcement.trial import minutes_of, trial

    cases = opened(store) if store else None
    days = (first.date() if first else None, last.date() if last else None)
    told = trial(held, scan, cases, int(time.time()), days, minutes_of(minutes or ()))
    if html:
        from clonewatch.model import whole_files
        from clonewatch.report.backtest_page import backtest_page

        whole_files.write(html, backtest_page(told).encode(), what="the page")
    if json:
        output.as_json(told)
        return
    output.say(f"From {told['from']} to {told['to']}, on {told['results']:,} of {len(scan):,} results.")
    for one in told["policies"]:
        _say_tried(one)
    output.say(
        "Preventable is an upper bound: actions allow less, and do not stop everything. Campaigns would have adapted.",
        "Minutes of people are assumed: --minutes sets your own.",
    )
    if not store:
        output.say("Without --store nobody was ruled on: every account is unknown.")


def _say_tried(told: Mapping[str, Any]) -> None:
    counted = ("accounts", "touched", "harvested", "leaked", "preventable")
    rows = [
        (
            one["group"],
            one["outcome"],
            one["known"],
            f"{one['first']:%Y-%m-%d}" if one["first"] else "never",
            *map(one.get, counted),
        )
        for one in told["campaigns"]
    ]
    heads = (
        "Group",
        "Outcome",
        "Known",
        "Matched on",
        "Accounts",
        "Matched",
        "Attributed",
        "Leaked before",
        "Preventable",
    )
    output.table(f"{told['policy']}, version {told['version']}", heads, rows, right=(4, 5, 6, 7, 8))
    known = told["touched"]
    touched = [(kind, count, known["other"][kind]) for kind, count in known["accounts"].items()]
    output.table(
        "Accounts touched", ("What is known", "Accounts", "Exchanges that are no harvest"), touched, right=(1, 2)
    )
    steps = [(one["rule"], one["action"], one["accounts"], one["preventable"], one["other"]) for one in told["steps"]]
    columns = ("Rules up to", "Action", "Accounts", "Preventable", "Other exchanges")
    output.table("The strictest rule first", columns, steps, right=(2, 3, 4))
    output.say(f"Work of people: {told['minutes'] / 60:,.1f} hours.")


def _read(file: Path) -> Policy:
    from clonewatch.policy.policy_file import read

    return read(file)


def _signer(path: Path) -> Any:
    from clonewatch.kernels.signing_keys import private_key

    return private_key(path)


def _public(key: bytes) -> str:
    import base64

    return "ed25519:" + base64.b64encode(key).decode("ascii")


def _bound(bound: Any) -> str:
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in bound.items())


def _told(rule: Any) -> dict[str, Any]:
    return {**rule._asdict(), "when": rule.when.text, "action": rule.action.name}
