"""New accounts of campaigns between two looks: only what came since the last one is read, and only of new accounts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import growth
from clonewatch.campaigns.growth import Attribute, Campaign, Newcomer
from clonewatch.fingerprints.keys import load_key
from clonewatch.links.columns import of_exchanges
from clonewatch.model.defaults import MEMORY
from clonewatch.pipeline.daily.state_tables import EXCHANGES, FACTS, LAYOUTS, SKETCHES, sketch_matrix_of
from clonewatch.pipeline.detection.signals import linking_signals
from clonewatch.pipeline.engine import EngineSettings, opened_for_state
from clonewatch.pipeline.intake.staging import families
from clonewatch.pipeline.scan_result import read_summary, read_table
from clonewatch.ports.engine import FileEngine
from clonewatch.ports.linking import LinkingSignal
from clonewatch.state import store
from clonewatch.state.columns import widened
from clonewatch.state.files import part_path, read_whole
from clonewatch.state.manifest import Manifest, Part

_BYSTANDER = "proxy_customer"
# New accounts that are compared at most; the next look sees all of them.
_MOST = 100_000


class Grown(NamedTuple):
    """That a new account joined a campaign of a result. asked, exchanges: of its list, and all, since the last look."""

    account: str
    group: str
    posterior: float
    families: tuple[str, ...]
    asked: int
    exchanges: int


def grown(state: Path, result: Path, key_file: Path | None = None, memory: str = MEMORY) -> list[Grown]:
    """Accounts that are new since a result was made of a state, and belong to one of its flagged campaigns.

    Trusted accounts never do, nor those whose contract permits training, whose use is declared by an organisation that
    was there before, or that the result saw. The next look judges all of them again, by everything. Raises StateError
    and InputError where state or result cannot be read.
    """
    campaigns, population = _campaigns(result)
    if not campaigns:
        return []
    seen = set(read_summary(result)["settings"].get("window_of", {}).get("parts", ()))
    with store.opened(state, load_key(key_file)) as held:
        fresh = tuple(part for part in held.manifest.parts if part.exchanges.sha256 not in seen)
        older = tuple(part for part in held.manifest.parts if part.exchanges.sha256 in seen)
        if not fresh or not older:
            return []
        chosen = msgspec.structs.replace(held.manifest, parts=(*fresh, *older))
        held.check(LAYOUTS, chosen)
        taken = held.snapshot(chosen.files())
    with closing(taken), tempfile.TemporaryDirectory() as aside:
        with opened_for_state(EngineSettings(memory=memory), Path(aside)) as engine:
            newcomers = _Newcomers(engine, state, taken.place, chosen).read(fresh, older, campaigns)
    ids = newcomers.ids
    counts = {one.account: one.exchanges for one in newcomers.found}
    made = growth.grown(newcomers.found, campaigns, population, linking_signals())
    return [
        Grown(ids[one.account], one.group, one.posterior, one.families, one.asked, counts[one.account]) for one in made
    ]


def _campaigns(result: Path) -> tuple[list[Campaign], int]:
    """The flagged campaigns of a result, and how many entities it has."""
    campaigns = read_table(result, "campaigns")
    groups = set(campaigns.filter(pc.equal(campaigns["flagged"], True))["campaign_id"].to_pylist())
    members: dict[str, set[str]] = {}
    for row in read_table(result, "members").to_pylist():
        if row["campaign_id"] in groups and row["role"] != _BYSTANDER:
            members.setdefault(row["campaign_id"], set()).add(row["account_id"])
    signals = linking_signals()
    carried: dict[str, dict[str, set[str]]] = {}
    for row in read_table(result, "attribute_accounts").to_pylist():
        link = signals.get(row["signal"])
        if link and _can_be_read(link) and row["account_id"] in members.get(row["campaign_id"], ()):
            families_of = carried.setdefault(row["campaign_id"], {})
            families_of.setdefault(link.signal.card.family, set()).add(row["account_id"])
    shared: dict[str, list[Attribute]] = {}
    for row in read_table(result, "attributes").to_pylist():
        values = (row["entities"], row["users"], row["trusted"], row["weight"] or 0.0)
        shared.setdefault(row["campaign_id"], []).append(Attribute(row["signal"], row["attribute"], *values))
    found = [
        Campaign(
            group,
            len(accounts),
            tuple(shared.get(group, ())),
            {family: len(those) for family, those in carried.get(group, {}).items()},
        )
        for group, accounts in sorted(members.items())
    ]
    return found, int(read_summary(result)["counts"]["entities"])


def _can_be_read(link: LinkingSignal) -> bool:
    """Whether one account alone has the attributes of a signal: some are about when accounts act together."""
    if link.steps or not link.hashed:
        return False
    if link.column:
        return link.sql == of_exchanges(f"x.{link.column}")
    return set(link.reads) == {"accounts", "owners"}


class _Found(NamedTuple):
    found: list[Newcomer]
    ids: list[str]


class _Newcomers:
    """Reads new accounts of a state. place: of hard links to the files of the manifest."""

    def __init__(self, engine: FileEngine, state: Path, place: Path, manifest: Manifest) -> None:
        self._engine, self._state, self._place, self._manifest = engine, state, place, manifest

    def read(self, fresh: Iterable[Part], older: Iterable[Part], campaigns: Iterable[Campaign]) -> _Found:
        """New accounts, and the ids of all accounts by code."""
        engine = self._engine
        for name, parts in (("fresh", fresh), ("older", older)):
            engine.attach(name, [self._place / part.exchanges.name for part in parts], EXCHANGES.schema)
        engine.store(
            "newcomers",
            f"SELECT account, CAST(COUNT(*) AS BIGINT) AS n FROM fresh WHERE account NOT IN"
            f" (SELECT account FROM older) GROUP BY account ORDER BY account LIMIT {_MOST}",
            {},
        )
        counts = engine.fetch("SELECT account, n FROM newcomers ORDER BY account")
        ids = [name or "" for file in self._manifest.names for name in self._read(file)["account_id"].to_pylist()]
        facts = self._facts(counts["account"].to_numpy())
        allowed = set(facts["account"].to_pylist()) if facts is not None else set(counts["account"].to_pylist())
        engine.put("accounts", facts if facts is not None else FACTS.schema.empty_table())
        accounts = pa.array(sorted(allowed), pa.int32())
        engine.put("owners", pa.table({"account": accounts, "entity": accounts}))
        carried = self._carried(campaigns)
        found = [
            Newcomer(account, n, carried.get(account, {}))
            for account, n in zip(counts["account"].to_pylist(), counts["n"].to_pylist(), strict=True)
            if account in allowed and account in carried
        ]
        return _Found(found, ids)

    def _carried(self, campaigns: Iterable[Campaign]) -> dict[int, dict[tuple[str, str], int]]:
        """What each new account carries of what campaigns share."""
        wanted = {(a.signal, a.attribute) for campaign in campaigns for a in campaign.attributes}
        engine = self._engine
        engine.put("families", self._families(wanted))
        found: dict[int, dict[tuple[str, str], int]] = {}
        for name, link in linking_signals().items():
            values = [_number(attribute) for signal, attribute in wanted if signal == name]
            if not values or not _can_be_read(link):
                continue
            engine.put(f"wanted_{name}", pa.table({"attribute": pa.array(values, pa.int64())}))
            column = "COALESCE(f.family, x.template)" if link.column == "template" else f"x.{link.column}"
            sql = (
                f"SELECT x.account AS entity, {column} AS attribute, COUNT(*) AS n FROM fresh x JOIN owners o"
                " ON o.account = x.account LEFT JOIN families f ON f.template = x.template"
                f" GROUP BY x.account, {column}"
                if link.column
                else link.sql
            )
            rows = engine.fetch(
                f"SELECT c.entity, c.attribute, CAST(c.n AS BIGINT) AS n FROM ({sql}) c"
                f" JOIN wanted_{name} w ON w.attribute = c.attribute ORDER BY c.entity, c.attribute"
            )
            for row in rows.to_pylist():
                found.setdefault(row["entity"], {})[name, _hex(row["attribute"])] = row["n"]
        return found

    def _families(self, wanted: Iterable[tuple[str, str]]) -> pa.Table:
        """Templates of new accounts that are a campaign's template but for a few words, and which one."""
        known = [_number(attribute) for signal, attribute in sorted(wanted) if signal == "template"]
        engine, files = self._engine, list(self._manifest.sketches)
        if not known or not files:
            return families(np.zeros(0, np.int64), np.zeros((0, 64), np.uint32))
        engine.attach("sketched", [self._place / file.name for file in files], SKETCHES.schema)
        engine.put("known", pa.table({"template": pa.array(known, pa.int64()), "place": pa.array(range(len(known)))}))
        found = engine.fetch(
            "SELECT s.template, s.sketch, k.place FROM sketched s LEFT JOIN known k ON k.template = s.template"
            " WHERE k.place IS NOT NULL OR s.template IN (SELECT x.template FROM fresh x JOIN owners o"
            " ON o.account = x.account) ORDER BY k.place NULLS LAST, s.template"
        )
        return families(found["template"].to_numpy(), sketch_matrix_of(found["sketch"]))

    def _facts(self, newcomers: np.ndarray) -> pa.Table | None:
        """Facts of new accounts, without those that are trusted, exempt or of an organisation that was there before.

        None where the state knows no facts.
        """
        if not self._manifest.facts:
            return None
        known = widened(self._read(self._manifest.facts), FACTS.schema)
        new = pc.is_in(known["account"], value_set=pa.array(newcomers, pa.int32()))
        others = known.filter(pc.invert(new))
        before = others["org"].filter(pc.fill_null(others["org_declared"], True)).drop_null().unique()
        overt = pc.and_(pc.fill_null(known["org_declared"], True), pc.is_in(known["org"], value_set=before))
        spared = pc.or_(
            pc.or_(pc.fill_null(known["anchor"], False), pc.fill_null(known["training_permitted"], False)),
            pc.fill_null(overt, False),
        )
        mine = known.filter(pc.and_(new, pc.invert(spared)))
        left_out = set(known.filter(pc.and_(new, spared))["account"].to_pylist())
        told = set(mine["account"].to_pylist())
        rest = [one for one in newcomers.tolist() if one not in told and one not in left_out]
        nothing = pa.table({"account": pa.array(rest, pa.int32())})
        return pa.concat_tables([mine, widened(nothing, FACTS.schema)])

    def _read(self, file: Any) -> pa.Table:
        return read_whole(self._place / file.name, part_path(self._state, file))


def _number(attribute: str) -> int:
    """An attribute as it is staged, from how it is reported; 0, which nothing carries, for one that is no hash."""
    try:
        return int(np.uint64(int(attribute, 16)).astype(np.int64))
    except (ValueError, OverflowError):
        return 0


def _hex(attribute: int) -> str:
    return f"{attribute & (2**64 - 1):016x}"
