"""Whatever a case holds, nothing that may not leave is in what leaves: planted values of every forbidden kind.

`CLONEWATCH_RELEASE_CASES` is how many cases are generated; a build makes few.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import os
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.sharing_stand import GROUP, KNOWN, RULES, release

from clonewatch.cases.records import Case, Ruling, Sighting
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model import schema
from clonewatch.model.errors import SetupError
from clonewatch.peering import observed
from clonewatch.peering.proposing import Order, composed
from clonewatch.peering.releasing import document, put
from clonewatch.peering.settings import Settings
from clonewatch.sharing.release_gate import gate

# Making one takes longer than a case does: it is the same for all of them.
observed.Fingerprinter = cache(observed.Fingerprinter)  # type: ignore[misc, assignment]
CASES = int(os.environ.get("CLONEWATCH_RELEASE_CASES", "25"))
KEY, NOW = bytes(range(1, 33)), "2026-11-28T09:17:43Z"
CHOSEN = Settings(
    "north", "circle", "incident_response", "AMBER", "AMBER", "none", 30, GROUP, RULES, KNOWN.disposable, None
)
START = datetime(2026, 10, 1, tzinfo=UTC)
LETTERS = "bcdfghjkmnpqrstvwxz"
STOCK = "t13d1516h2_8daaf6152771_e5627efa2ab1"


class Planted(msgspec.Struct, frozen=True):
    """What must not leave. words: names, customers, plans, prices, texts. numbers: volumes, capacities, revenues."""

    person: str
    customer: str
    plan: str
    price: str
    text: str
    roadmap: str
    phone: str
    card: str
    address: str
    volume: int
    tokens: int

    @property
    def words(self) -> tuple[str, ...]:
        """All texts."""
        held = (self.person, self.customer, self.plan, self.price, self.text, self.roadmap)
        return (*held, self.phone, self.card, self.address)


def sown(seed: int) -> Planted:
    """Values of every forbidden kind, long enough that none is in a random value by chance."""
    draw = random.Random(seed)  # noqa: S311 - nothing here is secret

    def word() -> str:
        return "".join(draw.choices(LETTERS, k=draw.randint(9, 14)))

    return Planted(
        person=word(),
        customer=word(),
        plan=word(),
        price=f"{draw.randint(1_000_003, 9_999_991) / 100:.2f} EUR",
        text=" ".join(word() for _ in range(draw.randint(1, 30))),
        roadmap=word(),
        phone=f"+{draw.randint(10**10, 10**11 - 1)}",
        card=str(draw.randint(4 * 10**15, 5 * 10**15 - 1)),
        address=".".join(map(str, (11, draw.randrange(100, 256), draw.randrange(100, 256), draw.randrange(100, 256)))),
        volume=draw.randint(1_000_003, 999_999_937),
        tokens=draw.randint(1_000_003, 999_999_937),
    )


PLANTED = st.integers(0, 2**64 - 1).map(sown)


def encodings(word: str) -> Iterator[str]:
    """A text as somebody could hide it, and what a guess at it could be compared with."""
    data = word.encode()
    yield from (word, word[::-1], codecs.encode(word, "rot13"), data.hex(), quote(word, safe=""))
    yield from (base64.b64encode(data).decode().rstrip("="), base64.b32encode(data).decode().rstrip("="))
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        digest = hashlib.new(name, data)
        yield from (digest.hexdigest()[:12], base64.b64encode(digest.digest()).decode()[:12])


def spellings(number: int) -> Iterator[str]:
    yield from (str(number), f"{number:,}", f"{number:x}", f"{number:e}"[:7], str(number)[:5], f"{number / 1e6:.3f}")
    yield from encodings(str(number))


def rows(table: schema.Table, given_rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(given_rows, schema=arrow_schema(table))


class Kept:
    """A log in memory."""

    def __init__(self, batch: pa.RecordBatch, facts: pa.Table) -> None:
        self._batch, self._facts = batch, facts

    def batches(self, _: object) -> Iterator[pa.RecordBatch]:
        yield self._batch

    def accounts(self) -> pa.Table:
        return self._facts


def exchanges(planted: Planted, accounts: list[str], odd: int) -> pa.RecordBatch:
    """Requests of accounts, into every column of which something is planted; odd: which account has planted clients."""
    hashed = [hashlib.new(n, planted.phone.encode()).hexdigest() for n in ("md5", "sha1", "sha256")]
    clients = [f"t13d1516h2_{h[:12]}_{h[12:24]}" for h in hashed]
    asked = f"{planted.text} {planted.person} {planted.customer}, {planted.phone}: answer as JSON with reasons"
    made = []
    for n, account in enumerate(accounts):
        mine = n == odd
        made.append(
            {
                "exchange_id": f"{planted.person}-{n}",
                "ts": START + timedelta(hours=n),
                "account_id": account,
                "org_id": planted.customer,
                "api_key_id": planted.plan,
                "end_user_id": planted.person,
                "session_id": planted.card,
                "model": planted.roadmap,
                "input_tokens": planted.tokens % 2**31,
                "output_tokens": planted.volume % 2**31,
                "client_ip": planted.address if mine else "8.8.4.4",
                "asn": planted.tokens % 2**31 if mine else 15_169,
                "egress": "hosting",
                "user_agent": planted.price,
                "tls_fingerprint": clients[n % 3] if mine else STOCK,
                "sdk": planted.plan,
                "messages": msgspec.json.encode([{"role": "user", "content": asked}]).decode(),
                "system_text": f"{planted.roadmap} {planted.text}",
            }
        )
    held = rows(schema.EXCHANGES, made)
    names = [name for name in held.column_names if held[name].null_count < len(held)]
    (batch,) = held.select(names).combine_chunks().to_batches()
    return batch


def facts(planted: Planted, accounts: list[str], domain: str) -> pa.Table:
    held = {
        "org_id": planted.customer,
        "programme": planted.plan,
        "plan": planted.price,
        "payment_fingerprint": hashlib.sha256(planted.card.encode()).hexdigest(),
        "issuer_class": planted.card[:6],
        "billing_country": "DE",
        "email_domain": domain,
        "email_pattern": planted.person,
        "device_fingerprint": planted.phone,
        "phone_prefix": planted.phone[:5],
        "signup_ip": planted.address,
        "referrer": planted.roadmap,
    }
    return rows(schema.ACCOUNTS, [{"account_id": name, "created_at": START, **held} for name in accounts])


def tables(
    planted: Planted, accounts: list[str], bits: float, attributes: list[str]
) -> dict[str, list[dict[str, Any]]]:
    said = f"{planted.volume:,} requests of {planted.customer} at {planted.price}: {planted.text}"
    last = START + timedelta(seconds=planted.volume % 10_000_000)
    signals = ("elicitation", "release", "single_turn", "signature_replay", planted.customer)
    evidence = [
        {"signal": one, "family": planted.plan, "kind": "behaviour", "bits": bits, "value": float(planted.volume)}
        | {"n": planted.tokens, "reason": said, "innocent": said, "ruled_out": said, "exchange_ids": [planted.person]}
        for one in signals
    ]
    return {
        "campaigns": [
            {"campaign_id": "C1", "level": "L3", "families": ["harvest", "network"], "exchanges": planted.volume}
            | {"accounts": len(accounts), "odds_bits": bits, "evidence": evidence, "tasks": [(planted.roadmap, 7)]}
        ],
        "members": [
            {"account_id": name, "role": "core", "exchanges": planted.volume, "harvested_exchanges": planted.tokens}
            | {"created_ts": START - timedelta(days=4), "first_ts": START, "last_ts": last}
            for name in accounts
        ],
        "evidence": evidence,
        "attributes": [
            {"signal": signal, "attribute": one, "entities": 9, "trusted": 0, "weight": bits, "users": planted.tokens}
            for one in attributes
            for signal in ("template", "forced_format", planted.customer)
        ],
    }


def case(planted: Planted) -> Case:
    seen = Sighting(planted.customer, "C1", "flagged", 9, planted.volume, ("harvest",), 8.0, "2026-10-01", "2026-10-20")
    ruled = Ruling("confirmed", planted.text, "evidence", "", planted.phone, ("harvest",), 8.0, NOW, planted.person)
    return Case(planted.customer, 3, "ruled", planted.card, 9, seen, ruled, planted.person)


@settings(max_examples=CASES, deadline=None, derandomize=CASES < 1_000, suppress_health_check=list(HealthCheck))
@given(
    planted=PLANTED,
    size=st.integers(1, 12),
    odd=st.integers(0, 11),
    bits=st.floats(-4, 40),
    attributes=st.lists(st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}"), max_size=3),
    own=st.booleans(),
)
def test_nothing_that_is_planted_in_a_case_leaves(
    planted: Planted, size: int, odd: int, bits: float, attributes: list[str], own: bool
) -> None:
    accounts = [f"{planted.customer}-{n}" for n in range(size)]
    domain = f"{planted.customer}.example" if own else "mailbox.example"
    batch, known = exchanges(planted, accounts, odd), facts(planted, accounts, domain)
    attributed = pa.table(
        {"exchange_id": batch["exchange_id"], "account_id": batch["account_id"], "posterior": [0.9] * size}
    )
    order = Order("K0001", Path(planted.customer), CHOSEN, KEY, lambda: Kept(batch, known))  # type: ignore[arg-type, return-value]
    made = composed(case(planted), [], order, tables(planted, accounts, bits, attributes), attributed, accounts, NOW)
    try:
        body = gate.opened(made.release, CHOSEN.known(NOW[:10]))
    except SetupError:
        # The gate refuses what has nothing to look for.
        assert not made.release.indicators
        return
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), made.release.id, 1, body.decode(), made.release.made_at)
        state, name = path.stat(), path.name
        assert path.read_bytes() == body and [one.name for one in path.parent.iterdir()] == [name]
        assert (state.st_mode & 0o777, state.st_mtime % 3600) == (0o600, 0)
    left = f"{name}\n{body.decode()}\n{document(made.release, '', 'circle').document}"
    _none_of(left, planted)


def _none_of(left: str, planted: Planted) -> None:
    folded = left.casefold()
    for word in planted.words:
        assert [one for one in encodings(word) if one.casefold() in folded] == []
    # A count is nowhere but by chance in what is enciphered, random or fixed, so digits are looked for beside these.
    plain = msgspec.json.decode(left.split("\n")[1])
    for one in plain["indicators"]:
        chance = one["kind"] in ("template_family", "forced_format") or one["value"] == f"ja4:{STOCK}"
        one["value"] = "" if chance else one["value"]
        one["id"] = ""
    plain["id"] = plain["basis"] = ""
    said = msgspec.json.encode(plain).decode()
    for number in (planted.volume, planted.tokens):
        assert [one for one in spellings(number) if one in said] == []


TEXTS = ("id", "sender", "made_at", "until", "tlp", "pap", "profile", "what", "reason", "instead_of", "statement")


@settings(max_examples=CASES, deadline=None, derandomize=CASES < 1_000, suppress_health_check=list(HealthCheck))
@given(
    planted=PLANTED,
    field=st.sampled_from([*TEXTS, "schema", "families", "attack", "basis", "indicator"]),
    inner=st.sampled_from(["id", "kind", "value", "since", "until", "families", "withdrawn"]),
    which=st.integers(0, 8),
    spelled=st.integers(0, 16),
)
def test_whoever_makes_a_release_puts_nothing_planted_through_the_gate(
    planted: Planted, field: str, inner: str, which: int, spelled: int
) -> None:
    hidden = list(encodings(planted.words[which]))[spelled]
    made = release()
    value: Any = hidden
    if field in ("families", "attack"):
        value = (*getattr(made, field), hidden)
    elif field == "basis":
        value = msgspec.structs.replace(made.basis, source=f"https://law.example/{hidden}")
    elif field == "indicator":
        one = made.indicators[spelled % len(made.indicators)]
        changed = msgspec.structs.replace(one, **{inner: (hidden,) if inner == "families" else hidden})
        field, value = "indicators", (changed, *(held for held in made.indicators if held is not one))
    refused = gate.refusals(msgspec.structs.replace(made, **{field: value}), KNOWN)
    assert refused, (field, inner, hidden)
