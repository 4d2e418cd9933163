"""The plan of an audit: models, requests, secrets, tests and alpha, fixed before the first request."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from clonewatch.audit.ledger import Ledger, Record
from clonewatch.model.errors import InputError
from clonewatch.model.text_files import text_of, toml_of

Access = Literal["text", "logprobs", "scoring"]

VERSION = 1
_SEE = "See docs/using/audit.md"
# Corrected p-values at or below which a report says "evidence" and "strong evidence".
ALPHA, STRONG = 1e-3, 1e-6
# The least number of decoys for a useful rank, and the number that gives one in a thousand.
LEAST_DECOYS, DECOYS = 20, 999
# Secrets that are tested on pairs of answers, which the settings name.
# Standard deviations per square root of a token: one token would tell everything.
_LARGEST_EFFECT = 100
_LONGEST = 2000  # characters of an address or of the name of a model
_HOST = re.compile(r"(?=.{1,254}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_NEED_PAIRS = {"twin"}
_LEVEL = {"text": 0, "logprobs": 1, "scoring": 2}
_LIMITS = {"answers": (1, 128), "tokens": (8, 8192), "decoys": (LEAST_DECOYS, 99_999), "looks": (1, 100)}
_MOST_PROMPTS = 1_000_000


class ModelEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model behind an OpenAI-compatible address. The key is read from a variable, or from a file of mode 0600."""

    url: str
    model: str
    api: Literal["completions", "chat"] = "completions"
    key_env: str = ""
    key_file: str = ""

    def check(self, name: str) -> None:
        """Refuse an address that would send a secret unencrypted."""
        if not self.model.strip() or not self.model.isprintable() or len(self.model) > _LONGEST:
            raise InputError(f"the model of the {name} has no name that can be sent", fix='model = "its-name"')
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url or len(self.url) > _LONGEST:
            raise InputError(
                f"the address of the {name} is too long, or has signs that no address has",
                fix="Write it in ASCII, a host of other letters in Punycode: https://host/v1",
            )
        try:
            parts = urlsplit(self.url)
            if parts.port == 0:
                raise ValueError("port 0 is none")
            if parts.hostname and not _is_host(parts.hostname):
                raise ValueError(f"{parts.hostname} is not the name of a host")
        except ValueError as error:
            raise InputError(f"the address of the {name} is invalid: {error}", fix="https://host/v1") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError(f"the address of the {name} is not an http(s) address", fix="https://host/v1")
        if parts.username or parts.password or parts.query:
            raise InputError(
                f"the address of the {name} contains a secret or a query", fix="Name a variable with key_env instead"
            )
        if parts.scheme == "http" and not loopback(parts.hostname):
            raise InputError(
                f"the address of the {name} is not encrypted", fix="Use https; http is for this machine only"
            )
        if self.key_env and self.key_file:
            raise InputError(f"the {name} has two sources for its key", fix="Set only one of key_env and key_file")

    def place(self) -> tuple[str, int, str, str]:
        """What tells two models apart: host, port, path and name, in one spelling each."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "").rstrip(".").lower()
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return "loopback" if loopback(host) else host, port, parts.path.rstrip("/"), self.model.strip()


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input of the power. effect: see `audit.power`; None if unknown. share: the training share to find."""

    effect: float | None = None
    share: float = 0.1


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a provider writes: the TOML file that `clonewatch audit plan` reads. Paths are relative to that file."""

    ledger: str
    prompts: str
    tokenizer: str
    served: str = ""
    twins: str = ""
    access: Access = "text"
    answers: int = 2
    tokens: int = 256
    temperature: float = 1.0
    logprobs: int = 20
    alpha: float = ALPHA
    decoys: int = DECOYS
    looks: int = 1
    secrets: list[str] = []
    suspect: ModelEndpoint
    control: ModelEndpoint
    ours: ModelEndpoint | None = None
    power: Effect = Effect()

    def check(self) -> None:
        """Refuse settings that cannot be planned, and say how to fix them."""
        for name, source in self.sources().items():
            source.check(name)
            if source.api == "chat" and (self.access == "scoring" or name == "ours"):
                raise InputError(
                    f"the {name} would have to score given texts, which only the completions interface can do",
                    fix='Set api = "completions", or access = "logprobs", or leave out [ours]',
                )
        self._apart()
        if not 0 < self.alpha <= ALPHA:
            raise InputError(f"alpha is {self.alpha}; it must be above 0 and at most {ALPHA}", fix="0.001")
        for name, (least, most) in _LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; it must be {least} to {most}", fix=_SEE)
        if not 0 < self.temperature <= 2:
            raise InputError(f"temperature is {self.temperature}; answers must vary", fix="1.0")
        if self.access != "text" and not 1 <= self.logprobs <= 100:
            raise InputError(f"logprobs is {self.logprobs}; it must be 1 to 100", fix="20")
        if not 0 < self.power.share <= 1:
            raise InputError(f"the share of [power] is {self.power.share}; it must be above 0 and at most 1", fix="0.1")
        effect = self.power.effect
        if effect is not None and not 0 < effect < _LARGEST_EFFECT:
            what = f"the effect of [power] is {effect}; it must be above 0 and below {_LARGEST_EFFECT}"
            raise InputError(what, fix=_SEE)
        if self.ours is not None and self.answers < 2:
            raise InputError("to compare a suspect with our own model, a prompt needs two answers", fix="answers = 2")

    def _apart(self) -> None:
        """Refuse one model in two roles: a control that is the suspect shows what the suspect shows."""
        seen: dict[tuple[str, int, str, str], str] = {}
        for name, source in self.sources().items():
            other = seen.setdefault(source.place(), name)
            if other != name:
                raise InputError(
                    f"the {name} is the {other}: the same address and model",
                    fix="The control is a model that cannot have been trained on your answers; name another one",
                )

    def sources(self) -> dict[str, ModelEndpoint]:
        """The models that are queried, by role."""
        named = {"suspect": self.suspect, "control": self.control}
        return named if self.ours is None else {**named, "ours": self.ours}


class PlannedTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One test of the plan: a secret, when it was committed, and the cases or accounts that were served with it.

    origin: `drawn` by this program when it was committed, `imported` from outside, or `unknown`. since, until and
    carriers are as the owner of the ledger states them.
    """

    id: str
    test: Literal["watermark", "canary", "twin"]
    commitment: str
    committed: str
    origin: Literal["drawn", "imported", "unknown"] = "unknown"
    since: str
    until: str
    carriers: list[str]
    public: dict[str, Any]
    confirmed: bool


class AuditPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `plan.json`, whose digest is in the ledger. head: of the ledger at that time; files: SHA-256."""

    version: int
    made: str
    head: str
    sources: dict[str, ModelEndpoint]
    access: Access
    prompts: Annotated[int, msgspec.Meta(ge=1, le=_MOST_PROMPTS)]
    answers: Annotated[int, msgspec.Meta(ge=1, le=_LIMITS["answers"][1])]
    tokens: Annotated[int, msgspec.Meta(ge=1, le=_LIMITS["tokens"][1])]
    temperature: float
    logprobs: int
    alpha: Annotated[float, msgspec.Meta(gt=0, le=ALPHA)]
    decoys: Annotated[int, msgspec.Meta(ge=LEAST_DECOYS, le=_LIMITS["decoys"][1])]
    looks: Annotated[int, msgspec.Meta(ge=1, le=_LIMITS["looks"][1])]
    tests: list[PlannedTest]
    power: Effect
    files: dict[str, str]

    def part(self, i: int) -> int:
        """The look, from 0, in which prompt i is first used."""
        return i * self.looks // self.prompts

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON and the digest."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


Form = TypeVar("Form", Settings, AuditPlan)


def read_settings(place: Path) -> Settings:
    """The settings of a TOML file, checked. Raises an InputError that names the wrong field."""
    try:
        told = toml_of(text_of(place))
    except OSError as error:
        raise InputError(f"cannot read the settings: {error.strerror}", where=str(place), fix=_SEE) from error
    except UnicodeDecodeError as error:
        raise InputError("the settings are no text in UTF-8", where=str(place), fix=_SEE) from error
    except ValueError as error:
        raise InputError(f"the settings are no TOML: {error}", where=str(place), fix=_SEE) from error
    settings = converted(told, Settings, str(place))
    settings.check()
    return settings


def converted(told: dict[str, Any], form: type[Form], where: str) -> Form:
    """Plain values as settings or a plan. Raises an InputError that names the wrong field."""
    try:
        return msgspec.convert(told, form)
    except msgspec.ValidationError as error:
        raise InputError(f"invalid: {error}", where=where, fix=_SEE) from error


def sought(ledger: Ledger, wanted: Sequence[str], confirmed: set[str], twins: bool) -> list[PlannedTest]:
    """The tests of a plan: one per committed secret, or per wanted secret, in the order of the ledger.

    wanted: commitments, or their beginnings. twins: whether pairs are given. Raises InputError for an unknown or a
    revealed secret (anybody who read it could have aimed at it), and if there is nothing to test.
    """
    records = ledger.records()
    revealed = {r.body["commitment"] for r in records if r.kind == "reveal"}
    commits = [r for r in records if r.kind == "commit"]
    for one in wanted:
        fitting = [r for r in commits if len(one) >= 8 and r.body["commitment"].startswith(one)]
        if len(fitting) != 1:
            raise InputError(
                f"{len(fitting)} commitments begin with {one!r}",
                where=str(ledger.path),
                fix="Give at least 8 characters of a commitment of this ledger, so many that only one begins with them",
            )
        if fitting[0].body["commitment"] in revealed:
            raise InputError(f"the secret {one} was revealed, so it can no longer be tested", fix="Plan without it")
    chosen = [r for r in commits if not wanted or r.body["commitment"].startswith(tuple(wanted))]
    chosen = [r for r in chosen if r.body["commitment"] not in revealed]
    chosen = [r for r in chosen if twins or wanted or r.body["secret"] not in _NEED_PAIRS]
    if not chosen:
        raise InputError(
            "the ledger has no secret to test",
            where=str(ledger.path),
            fix="Commit one before it is used: clonewatch audit commit, mint-canaries or import-key",
        )
    return [_one(i, record, confirmed) for i, record in enumerate(chosen, 1)]


def _one(i: int, record: Record, confirmed: set[str]) -> PlannedTest:
    body = record.body
    return PlannedTest(
        id=f"T{i}",
        test=body["secret"],
        commitment=body["commitment"],
        committed=record.at,
        origin=body.get("origin", "unknown"),
        since=body["since"],
        until=body["until"],
        carriers=body["carriers"],
        public=body["public"],
        confirmed=body["commitment"] in confirmed,
    )


def reaches(access: Access, wanted: Access) -> bool:
    """Whether an access includes the wanted one.

    >>> reaches("scoring", "logprobs"), reaches("text", "logprobs")
    (True, False)
    """
    return _LEVEL[access] >= _LEVEL[wanted]


def _is_host(host: str) -> bool:
    """Whether a host can be looked up: an address, or labels of letters, digits and hyphens.

    >>> _is_host("::1"), _is_host("api.example.com"), _is_host("a..b"), _is_host("xn--")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host) is not None
    except ValueError:
        pass
    try:
        return bool(_HOST.fullmatch(host)) and bool(host.encode("ascii").decode("idna"))
    except UnicodeError:
        return False


def loopback(host: str) -> bool:
    """Whether a host is this machine.

    >>> loopback("127.0.0.1"), loopback("localhost"), loopback("example.com")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
