"""The commands on policies: check and test one, and publish the watch list that gateways follow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json, grouped
from clonewatch.model.errors import OutputError, SetupError

if TYPE_CHECKING:
    from clonewatch.policy.canary import Canary
    from clonewatch.policy.entries import Chosen
    from clonewatch.policy.matching import Matched
    from clonewatch.policy.policy_file import Policy
    from clonewatch.policy.publishing import Published

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
    json: Json = False,
) -> None:
    """Write what the policy says of the accounts of scans as a signed watch list. Publish again to renew or to lift.

    Account ids are in it as keyed hashes. Rules are enforced against accounts under a measure of their kind in the
    store, and simulated against all others. What is not published again lapses. The policy's canary is limited for some
    seconds from now on: `clonewatch-gateway canary` proves that a gateway did it.

    For example:

      clonewatch policy publish policy.toml --scan result --out list --signing-key list.pem --account-key account.key

      clonewatch policy publish policy.toml -s result --store cases.db -o list --signing-key l.pem --account-key a.key
    """
    wrote = publish_list(file, out, signing_key, account_key, scan or [], store, name, valid_hours, whole=whole)
    held, found, made, own, done, key = wrote
    if json:
        told = {name: getattr(made, name) for name in ("enforced", "simulated", "unbound")}
        output.as_json(
            {
                **done._asdict(),
                **told,
                "undecided": found.undecided,
                "bystanders": found.bystanders,
                "cleared": found.cleared,
                "canary": own.account if own else None,
                "public_key": key,
            }
        )
        return
    output.say(
        f"Wrote {done.path}: a {done.kind} with serial number {done.serial}, {done.rows:,} rows, {done.size:,} bytes;"
        f" the list has {done.accounts:,} accounts."
    )
    rows = [(r.id, r.action.name, made.enforced.get(r.id, 0), made.simulated.get(r.id, 0)) for r in held.rules]
    output.table("Accounts by rule", ("Rule", "Action", "Enforced", "Simulated"), rows, right=(2, 3))
    for rule, count in found.undecided.items():
        output.say(f"{rule}: a fact that it needs is not known of {count:,} accounts, so it does not hold for them.")
    for measure, count in made.unbound.items():
        output.say(f"{count:,} accounts are under the measure {measure}, and no rule enforces it within bounds.")
    if found.bystanders:
        output.say(f"{found.bystanders:,} honest customers of campaigns' proxies are left out, whatever rules say.")
    if found.cleared:
        output.say(f"{found.cleared:,} accounts that people cleared are left out: one evidence acts on nobody twice.")
    if own:
        output.say(f"The canary {own.account} is limited for {own.seconds} seconds, in mode {own.mode}.")
    elif held.canary:
        output.say(f"The canary {held.canary.account} is left out: it is in a group or under a measure. Use another.")
    output.say(f"Key that gateways check it with: {key}")


@app.command("backtest", short_help="Say what a policy would have done on kept results.")
@grouped
def backtest(file: PolicyFile, scan: Scans, store: StoreGiven = None, json: Json = False) -> None:
    """Say what a policy would have stopped on kept results, what leaked before, and whom it would have touched.

    It decides at the end of each result's window, so give several, such as those of every day. Rules in shadow count as
    if they were enforced. With a store, accounts that it touches are split by what people ruled about them; rules see
    only what was ruled before the end of a window.

    For example:

      clonewatch policy backtest policy.toml --scan results/2026-05-01 --scan results/2026-05-02 --store cases.db
    """
    held = _read(file)
    from clonewatch.cli.policy_facts import Approved, approved, kept
    from clonewatch.policy.backtest import backtest as run

    people = approved(store, int(time.time())) if store else Approved({}, [], frozenset())
    found = run(held, kept(scan, people.ruled), people.ruled, people.cleared)
    if json:
        output.as_json(
            {
                "policy": held.name,
                "version": held.version,
                "campaigns": [one._asdict() for one in found.campaigns],
                "touched": found.touched._asdict(),
                "rules": found.rules,
                "bystanders": found.bystanders,
            }
        )
        return
    rows = [(*one[:2], f"{one.first:%Y-%m-%d}" if one.first else "never", *one[4:]) for one in found.campaigns]
    heads = ("Group", "Outcome", "Matched on", "Accounts", "Matched", "Attributed", "Leaked before", "Preventable")
    output.table(f"{held.name}, version {held.version}", heads, rows, right=(3, 4, 5, 6, 7))
    touched = [(kind, count, found.touched.other[kind]) for kind, count in found.touched.accounts.items()]
    output.table("Accounts touched", ("What is known", "Accounts", "Exchanges not attributed"), touched, right=(1, 2))
    output.table("Accounts by strictest rule", ("Rule", "Accounts"), list(found.rules.items()), right=(1,))
    output.say(
        "Preventable is an upper bound: actions allow less, and do not stop everything. Campaigns would have adapted.",
    )
    if not store:
        output.say("Without --store nobody was ruled on: every account is unknown.")


class PublishedList(NamedTuple):
    """What was published. canary: None where it was left out. key: the public one that gateways check it with."""

    policy: Policy
    found: Matched
    made: Chosen
    canary: Canary | None
    done: Published
    key: str


def publish_list(
    file: Path,
    out: Path,
    signing_key: Path,
    account_key: Path,
    scans: list[Path],
    store: str | None,
    name: str,
    valid_hours: float,
    *,
    whole: bool = False,
) -> PublishedList:
    """Write the watch list that a policy makes of scans and a store."""
    held = _read(file)
    if held.rules and not scans:
        raise SetupError("the policy has rules, and no scan is named", where=str(file), fix="Name one with --scan")
    from clonewatch.cli.policy_facts import Approved, approved, of_scans
    from clonewatch.policy.account_keys import account_secret
    from clonewatch.policy.entries import chosen, with_canary
    from clonewatch.policy.matching import matched
    from clonewatch.policy.publishing import publish as write
    from clonewatch.policy.watch_list_file import Signing

    signing = Signing(_signer(signing_key), account_secret(account_key))
    now = int(time.time())
    people = approved(store, now) if store else Approved({}, [], frozenset())
    members, slices = of_scans(scans, people.ruled)
    found = matched(held, members, people.cleared)
    made = chosen(held, found.matches, people.measures, slices, now)
    own = held.canary
    if own and own.account in {one.account for one in members} | people.measures.keys():
        own = None  # it is used by others: nothing is done to it, and whoever watches the canary hears of it
    elif own:
        made = with_canary(made, own, held.appeal_url, now)
    _make(out)
    done = write(out, name, made.numbers, made.entries, signing, now, int(valid_hours * _HOUR), whole=whole)
    return PublishedList(held, found, made, own, done, _public(signing.public))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "this is not the name of a folder"
        raise OutputError(
            f"cannot make the folder: {said}", where=str(folder), fix="Name another with --out"
        ) from error


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
