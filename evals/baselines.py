"""Other methods on the same logs, reimplemented from their papers: a score for every account, and groups if any.

Each reads a log folder and no labels. They rank accounts; none of them sets a threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import graspologic_native
import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import coo_array, csr_array, diags_array

from evals.groups import LEAST, Floats, Ints, components, groups_of, levels, nearest, peel

# Pairwise methods leave out attributes of more accounts than this: their cost grows with its square.
MOST_SHARED = 1000
_KEPT = 99.5  # percentile of similarities above which Pacheco's projection keeps a pair
_AGREEING = 0.3  # Jaccard similarity from which SynchroTrap puts accounts into one group
# Less active accounts are not compared, as in both papers: one shared attribute would be all they have.
_ACTIVE, _VARIED = 10, 3
_NO_STRUCTURE = 0.02  # modularity up to which all is one community
_HOUR = 3_600_000_000
_BLOCKS = 12  # dense blocks that are removed one after another
_FEATURES, _WINDOW, _FEWEST = 256, 64, 8  # random Fourier features; exchanges of an account, at most and at least
_SEED = 20_240_607  # of the random features and samples: fixed
_NETWORK = (
    "CASE WHEN contains(client_ip, ':') THEN array_to_string(list_slice(string_split(client_ip, ':'), 1, 3), ':')"
    " ELSE regexp_replace(client_ip, '\\.[0-9]+$', '') END"
)
_TEXT = {"template": "CAST(template_id AS VARCHAR)", "prompt": "CAST(prompt_id AS VARCHAR)"}
_FACTS = {"payment": "payment_fingerprint", "device": "device_fingerprint"}


class Ranking(NamedTuple):
    """A score for every account of a log, in the order of `Logged.ids`; groups of account numbers or None.

    An account that a method does not score has -inf.
    """

    score: Floats
    groups: list[Ints] | None = None


class Logged(NamedTuple):
    """An open log folder: its account ids in order, and a connection with `exchanges` and `accounts`."""

    ids: list[str]
    base: duckdb.DuckDBPyConnection
    attack_free: Path | None = None  # an attack-free log, for the methods that need one


def open_log(folder: Path, attack_free: Path | None = None) -> Logged:
    """Open a log folder without text. attack_free: an attack-free log folder."""
    ids = sorted(pq.read_table(folder / "accounts.parquet", columns=["account_id"])["account_id"].to_pylist())
    base = duckdb.connect(":memory:", config={"threads": 1})
    base.read_parquet(str(folder / "exchanges" / "*.parquet")).create_view("exchanges")
    base.read_parquet(str(folder / "accounts.parquet")).create_view("facts")
    base.execute("CREATE TABLE accounts AS SELECT *, ROW_NUMBER() OVER (ORDER BY account_id) - 1 AS number FROM facts")
    return Logged(ids, base, attack_free)


def volume(log: Logged) -> Ranking:
    """Requests per account: the account that sends most ranks first."""
    score = np.zeros(len(log.ids))
    rows = log.base.execute(
        "SELECT a.number, COUNT(*) AS n FROM exchanges x JOIN accounts a USING (account_id) GROUP BY a.number"
    ).fetchnumpy()
    score[rows["number"].astype(np.int64)] = rows["n"]
    return Ranking(score)


def infrastructure(log: Logged) -> Ranking:
    """Communities of accounts and the cards, devices and networks (/24) they share; no content.

    After EvilCohort (Stringhini and others 2015): accounts linked by common addresses, communities by modularity;
    larger ones rank higher. Attributes of more than MOST_SHARED accounts count as public.
    """
    account, attribute, _ = _attributes(log, {"network": _NETWORK}, _FACTS)
    account, attribute, _ = _shared(account, attribute, MOST_SHARED)
    if not len(account):
        return Ranking(np.full(len(log.ids), -np.inf), [])
    edges = [(f"a{a}", f"t{t}", 1.0) for a, t in zip(account.tolist(), attribute.tolist(), strict=True)]
    modularity, label = graspologic_native.leiden(
        edges,
        starting_communities=None,
        seed=1,
        trials=1,
        use_modularity=True,
        resolution=1.0,
        randomness=0.001,
        iterations=2,
    )
    home = np.full(len(log.ids), -1)
    for name, community in label.items():
        if name.startswith("a"):
            # Without community structure, all accounts are one community.
            home[int(name[1:])] = community if modularity > _NO_STRUCTURE else 0
    size = np.bincount(home[home >= 0])
    return Ranking(np.where(home >= 0, size[home].astype(float), -np.inf), groups_of(home))


def projection(log: Logged) -> Ranking:
    """Accounts that repeat the same templates and prompts: TF-IDF, cosine, the most similar pairs, their components.

    After Pacheco and others (2021). The groups are components of pairs above the 99.5th percentile of similarities; an
    account scores the similarity at which it joins a group of six. To bound the cost, attributes of more than
    MOST_SHARED accounts are dropped, and 50 neighbours of each account are kept. Accounts with fewer than ten exchanges
    of a shared template or prompt, or with fewer than three of those, are not compared.
    """
    account, attribute, count = _attributes(log, _TEXT, {})
    account, attribute, count = _shared(account, attribute, MOST_SHARED, count)
    account, attribute, count = _active(account, attribute, count)
    users = np.bincount(attribute, minlength=1)
    weight = np.log1p(count) * np.log(len(log.ids) / users[attribute])
    vectors = csr_array(coo_array((weight, (account, attribute)), shape=(len(log.ids), len(users))))
    length = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    vectors = csr_array(diags_array(1 / np.maximum(length, 1e-12)) @ vectors)
    left, right, alike, sample = nearest(vectors, lambda product, rows: product.data)
    threshold = float(np.percentile(sample, _KEPT)) if len(sample) else 1.0
    return Ranking(levels(len(log.ids), left, right, alike), components(len(log.ids), left, right, alike >= threshold))


def synchrony(log: Logged) -> Ranking:
    """Accounts that act alike in the same hour: Jaccard similarity of (template or network, hour), single linkage.

    After SynchroTrap (Cao and others 2014). The groups are single-linkage clusters at similarity 0.3; an account scores
    the similarity at which it joins a group of six. Cost is bounded as in `projection`; accounts with fewer than ten
    actions are not compared.
    """
    hour = f"|| ' ' || CAST(epoch_us(ts) // {_HOUR} AS VARCHAR)"
    account, attribute, _ = _attributes(
        log, {"template": f"{_TEXT['template']} {hour}", "network": f"{_NETWORK} {hour}"}, {}
    )
    owned = np.bincount(account, minlength=len(log.ids))
    account, attribute, _ = _shared(account, attribute, MOST_SHARED)
    lively = owned[account] >= _ACTIVE
    account, attribute = account[lively], attribute[lively]
    sets = csr_array(
        coo_array((np.ones(len(account)), (account, attribute)), shape=(len(log.ids), attribute.max(initial=0) + 1))
    )

    def jaccard(product: csr_array, rows: Ints) -> Floats:
        entry = product.tocoo()
        found: Floats = entry.data / (owned[rows[entry.row]] + owned[entry.col] - entry.data)
        return found

    left, right, alike, _ = nearest(sets, jaccard)
    return Ranking(levels(len(log.ids), left, right, alike), components(len(log.ids), left, right, alike >= _AGREEING))


def densest(log: Logged) -> Ranking:
    """Blocks of accounts and attributes that are denser than the attributes' popularity explains, one after another.

    After FRAUDAR (Hooi and others 2016): an attribute weighs 1/log(users + 5), the node that adds least is removed
    until nothing is left, and the densest remainder is the block. An account scores the density of its first block, and
    within the block by its own share of it. Attributes of one account are left out: they hold no block together.
    """
    each = _TEXT | {"network": _NETWORK, "system": "CAST(system_hash AS VARCHAR)", "agent": "user_agent"}
    account, attribute, _ = _attributes(log, each, _FACTS)
    account, attribute, _ = _shared(account, attribute, len(log.ids))
    score, groups = np.full(len(log.ids), -np.inf), []
    weight = 1 / np.log(np.bincount(attribute, minlength=1)[attribute] + 5.0)
    for _ in range(_BLOCKS):
        if not len(account):
            break
        kept, density = peel(account, attribute, weight)
        inside = kept[0][account] & kept[1][attribute]
        own = np.bincount(account[inside], weights=weight[inside], minlength=len(score))
        block = np.flatnonzero(own)
        fresh = block[np.isneginf(score[block])]
        score[fresh] = density + 1e-6 * own[fresh] / own.max()
        if len(block) >= LEAST:
            groups.append(block)
        account, attribute, weight = account[~inside], attribute[~inside], weight[~inside]
    return Ranking(score, groups)


def discrepancy(log: Logged) -> Ranking:
    """How far an account's exchanges are from honest ones: maximum mean discrepancy against an attack-free log.

    After the per-client MMD detector of arXiv 2606.05725: RBF kernel by random Fourier features (Rahimi and Recht
    2007), up to 64 exchanges of an account, bandwidth the median distance. The squared discrepancy is
    unbiased and divided by its standard deviation among honest accounts of the attack-free log with a similar number of
    exchanges. Accounts of fewer than eight exchanges are not scored.
    """
    if log.attack_free is None:
        raise ValueError("an attack-free log is needed")
    attack_free = open_log(log.attack_free)
    rng = np.random.default_rng(_SEED)
    honest, whose = _described(attack_free)
    middle, spread = honest.mean(axis=0), np.maximum(honest.std(axis=0), 1e-6)
    honest = (honest - middle) / spread
    pairs = rng.integers(0, len(honest), (2, 4000))
    width = float(np.median(np.linalg.norm(honest[pairs[0]] - honest[pairs[1]], axis=1)))
    slope = rng.normal(0, 1 / max(width, 1e-6), (honest.shape[1], _FEATURES))
    shift = rng.uniform(0, 2 * np.pi, _FEATURES)

    def embedded(rows: Floats) -> Floats:
        found: Floats = np.sqrt(2 / _FEATURES) * np.cos(rows @ slope + shift)
        return found

    usual = embedded(honest).mean(axis=0)
    distance, n = _distances(embedded(honest), whose, usual, len(attack_free.ids))
    rows, owner = _described(log)
    own, number = _distances(embedded((rows - middle) / spread), owner, usual, len(log.ids))
    score = np.full(len(log.ids), -np.inf)
    for low, high in ((_FEWEST, 16), (16, 32), (32, _WINDOW), (_WINDOW, _WINDOW + 1)):
        reference = distance[(n >= low) & (n < high)]
        here = (number >= low) & (number < high)
        if len(reference) >= LEAST:
            score[here] = (own[here] - np.median(reference)) / max(float(reference.std()), 1e-9)
    return Ranking(score)


BASELINES: dict[str, Callable[[Logged], Ranking]] = {
    "volume": volume,
    "infrastructure": infrastructure,
    "projection": projection,
    "synchrony": synchrony,
    "densest": densest,
    "discrepancy": discrepancy,
}


def _attributes(log: Logged, sent: dict[str, str], facts: dict[str, str]) -> tuple[Ints, Ints, Ints]:
    """Account, attribute and number of exchanges of every incidence. sent, facts: SQL expression by kind."""
    parts = [
        f"SELECT a.number AS account, '{kind} ' || ({value}) AS attribute, COUNT(*) AS n FROM exchanges x"
        f" JOIN accounts a USING (account_id) WHERE ({value}) IS NOT NULL GROUP BY 1, 2"
        for kind, value in sent.items()
    ] + [
        f"SELECT number AS account, '{kind} ' || {value} AS attribute, 1 AS n FROM accounts WHERE {value} IS NOT NULL"
        for kind, value in facts.items()
    ]
    rows = log.base.execute(
        "SELECT account, DENSE_RANK() OVER (ORDER BY attribute) - 1 AS attribute, n FROM ("
        + " UNION ALL ".join(parts)
        + ") ORDER BY attribute, account"
    ).fetchnumpy()
    return rows["account"].astype(np.int64), rows["attribute"].astype(np.int64), rows["n"].astype(np.int64)


def _shared(account: Ints, attribute: Ints, most: int, count: Ints | None = None) -> tuple[Ints, Ints, Ints]:
    """The rows of attributes with at least two and at most `most` accounts; attributes are renumbered."""
    users = np.bincount(attribute, minlength=1)[attribute] if len(attribute) else attribute
    kept = (users >= 2) & (users <= most)
    _, again = np.unique(attribute[kept], return_inverse=True)
    return account[kept], again.astype(np.int64), (np.ones_like(account) if count is None else count)[kept]


def _active(account: Ints, attribute: Ints, count: Ints) -> tuple[Ints, Ints, Ints]:
    """The rows of accounts with enough uses of shared attributes, and enough different ones."""
    sent, kinds = np.bincount(account, weights=count, minlength=1), np.bincount(account, minlength=1)
    kept = (sent >= _ACTIVE)[account] & (kinds >= _VARIED)[account]
    return account[kept], attribute[kept], count[kept]


_DESCRIBED: Sequence[str] = (
    "LN(1 + COALESCE(input_tokens, 0))", "LN(1 + COALESCE(output_tokens, 0))", "LN(1 + COALESCE(reasoning_tokens, 0))",
    "LN(1 + COALESCE(cached_tokens, 0))", "LN(1 + COALESCE(turn, 0))", "LN(1 + COALESCE(max_tokens, 0))",
    "COALESCE(temperature, 1)", "COALESCE(elicitation, 0)", "LN(1 + COALESCE(tools_count, 0))",
    "CAST(COALESCE(stream, FALSE) AS INTEGER)", "COALESCE(n, 1)",
    "SIN(2 * PI() * (epoch_us(ts) % 86400000000) / 86400000000)",
    "COS(2 * PI() * (epoch_us(ts) % 86400000000) / 86400000000)",
    *(f"CAST(COALESCE(task = '{task}', FALSE) AS INTEGER)" for task in (
        "software_engineering", "agentic_tool_use", "reasoning", "data_analysis", "grading", "chat",
    )),
)  # fmt: skip


def _described(log: Logged) -> tuple[Floats, Ints]:
    """Features of up to _WINDOW exchanges of every account, sampled by a hash of their ids; and the account of each."""
    columns = ", ".join(f"CAST({expression} AS DOUBLE) AS f{i}" for i, expression in enumerate(_DESCRIBED))
    rows = log.base.execute(
        f"SELECT a.number, {columns} FROM exchanges x JOIN accounts a USING (account_id)"
        f" QUALIFY ROW_NUMBER() OVER (PARTITION BY a.number ORDER BY md5(exchange_id)) <= {_WINDOW}"
        " ORDER BY a.number, md5(exchange_id)"
    ).fetchnumpy()
    values = np.stack([rows[f"f{i}"].astype(np.float64) for i in range(len(_DESCRIBED))], axis=1)
    return values, rows["number"].astype(np.int64)


def _distances(embedded: Floats, whose: Ints, usual: Floats, accounts: int) -> tuple[Floats, Ints]:
    """Unbiased squared distance of each account's mean embedding from the usual one; and exchanges per account."""
    n = np.bincount(whose, minlength=accounts)
    rows = (np.ones(len(whose)), (whose, np.arange(len(whose))))
    total = np.asarray(coo_array(rows, shape=(accounts, len(whose))) @ embedded)
    square = np.bincount(whose, weights=(embedded**2).sum(axis=1), minlength=accounts)[:, None]
    many = np.maximum(n, 2)[:, None]
    mean = total / many
    # The unbiased estimate: without the terms of each exchange with itself.
    within = ((total**2).sum(axis=1, keepdims=True) - square) / (many * (many - 1))
    found = within - 2 * (mean @ usual)[:, None] + float(usual @ usual)
    return found.ravel(), n
