"""How well a scan finds campaigns of the laboratory among real honest traffic.

    python -m evals.semi_synthetic --data ../shared/data --seeds 11 12 [--scenarios s01_shared_cards] [--jobs 2]

The honest part is real: sessions of a retrieval service (RAGPulse), API tenants at their measured rates (ServeGen), and
coding-agent sessions (kv-cache-tester). It has times, tokens, repeats and sessions, but no addresses, cards or devices,
because no public log has them. The campaign's accounts, and customers of the same proxy, are the laboratory's. The
other honest accounts of the laboratory are left out, or included with `--lookalikes`. A random share of the real
accounts, drawn for every log, is trusted. Finished runs are kept: an interrupted run resumes unless the source has
changed.
"""

import argparse
import hashlib
import json
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.lab.simulate import scenarios, simulate
from clonewatch.model.schema import ACCOUNTS, EXCHANGES
from evals.other_worlds import COLUMNS, RUNS, Run, cells, measure, sums

SCENARIOS = (
    "s01_shared_cards",
    "s02_mixing_proxy",
    "s03_mixing_proxy_95",
    "s04_stealth",
    "s06_rollouts",
    "s09_hydra",
    "s16_human_sessions",
)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TRACES = ("trace_ragpulse", "trace_servegen_client_rates", "trace_claude_code_sessions")
MICRO, DAY, WEEK = 1_000_000, 86_400, 7 * 86_400
# Tenants' rates are thinned to about this many requests per week: the published tenants are large firms.
TENANT_REQUESTS = 60_000
WINDOW = 600
STAMP = pa.timestamp("us", tz="UTC")
# Honest accounts that come with the campaign: they buy from the same proxy seller.
WITH_CAMPAIGN = ("member", "proxy_customer")


def main() -> int:
    """Run the missing logs and write the table of all."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--data", type=Path, default=DATA)
    parse.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=sorted(scenarios()), metavar="NAME")
    parse.add_argument("--seeds", nargs="+", type=int, default=[11, 12])
    parse.add_argument("--scale", type=float, default=0.1, help="factor on the campaign's number of accounts")
    parse.add_argument("--lookalikes", action="store_true", help="also include the laboratory's honest accounts")
    parse.add_argument("--jobs", type=int, default=1)
    parse.add_argument("--out", type=Path, default=RUNS)
    options = parse.parse_args()
    missing = [t for t in TRACES if not (options.data / f"{t}.parquet").is_file()]
    if missing:
        parse.error(f"no {', '.join(missing)} in {options.data}: the real traces are not part of the project")
    name = "semi_synthetic" + ("_lookalikes" if options.lookalikes else "")
    wanted = [(s, n) for s in options.scenarios for n in options.seeds]
    runs = []
    build = partial(make, data=options.data.resolve(), lookalikes=options.lookalikes)
    for i, run in enumerate(measure(build, wanted, options.scale, options.jobs, options.out / name), 1):
        runs.append(run)
        print(f"{i}/{len(wanted)} {' | '.join(row(run))}", file=sys.stderr, flush=True)
    text = report(runs, options.lookalikes)
    (options.out / f"{name}.md").write_text(text, encoding="utf-8")
    summary = {"scale": options.scale, "lookalikes": options.lookalikes, "sums": sums(runs), "runs": runs}
    (options.out / f"{name}.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(text)
    return 0


def make(scenario: str, seed: int, scale: float, out: Path, *, data: Path, lookalikes: bool) -> dict[str, Any]:
    """Write a log folder with a simulated campaign in real traffic, labels included."""
    made = out.parent / "laboratory"
    simulate(scenario, made, seed=seed, scale=scale)
    book = pq.read_table(made / "labels" / "accounts.parquet")
    if not lookalikes:
        book = book.filter(pc.is_in(book["role"], pa.array(WITH_CAMPAIGN)))
    exchanges, facts, events = (
        _of(pq.read_table(made / table), book["account_id"])
        for table in ("exchanges", "accounts.parquet", "events.parquet")
    )
    whole = pq.read_table(made / "exchanges", columns=["ts"])["ts"].cast(pa.int64())
    begin, end = pc.min(whole).as_py() // MICRO, pc.max(whole).as_py() // MICRO
    rng = np.random.default_rng([seed, zlib.crc32(scenario.encode())])
    share = float(np.exp(rng.uniform(np.log(0.03), np.log(0.4))))
    # The laboratory's log begins at midnight; the traces are shifted onto it by whole weeks.
    real = real_traffic(data, rng, begin - begin % DAY, max(1, round((end - begin) / WEEK)))
    names = pc.unique(real["account_id"]).sort()
    trusted = pa.table({"account_id": names, "anchor": pa.array(rng.random(len(names)) < share)})
    log = pa.concat_tables([exchanges, real], promote_options="permissive")
    accounts = pa.concat_tables([facts, trusted], promote_options="permissive")
    role = pa.array(["real"] * len(names))
    labels = pa.concat_tables([book, pa.table({"account_id": names, "role": role})], promote_options="default")
    (out / "exchanges").mkdir(parents=True)
    (out / "labels").mkdir()
    order = pc.sort_indices(log, sort_keys=[("ts", "ascending"), ("exchange_id", "ascending")])
    log = log.select([n for n in EXCHANGES.names if n in log.column_names]).take(order)
    pq.write_table(log, out / "exchanges" / "part-0000.parquet")
    pq.write_table(accounts.select([n for n in ACCOUNTS.names if n in accounts.column_names]), out / "accounts.parquet")
    pq.write_table(events, out / "events.parquet")
    pq.write_table(labels, out / "labels" / "accounts.parquet")
    harvested = pq.read_table(made / "labels" / "exchanges.parquet")
    pq.write_table(harvested, out / "labels" / "exchanges.parquet")
    trusted_accounts = int(pc.sum(pc.fill_null(accounts["anchor"], False)).as_py() or 0)
    return {
        "scenario": scenario,
        "seed": seed,
        "scale": scale,
        "lookalikes": lookalikes,
        "accounts": labels.num_rows,
        "real_accounts": len(names),
        "exchanges": log.num_rows,
        "real_exchanges": real.num_rows,
        "harvested": harvested.num_rows,
        "trusted": trusted_accounts,
        "absent_columns": [],
        "absent_account_facts": [],
    }


def _of(table: pa.Table, accounts: pa.ChunkedArray) -> pa.Table:
    """Rows of these accounts, and rows without an account (an outage concerns everybody)."""
    held = pc.or_(pc.is_in(table["account_id"], accounts.combine_chunks()), pc.is_null(table["account_id"]))
    return table.filter(held)


def real_traffic(data: Path, rng: np.random.Generator, begin: int, weeks: int) -> pa.Table:
    """Real honest traffic over `weeks` weeks from `begin` (epoch seconds); each session is placed in one of them."""
    parts = [retrieval(data, rng, begin, weeks), tenants(data, rng, begin, weeks), agents(data, rng, begin, weeks)]
    return pa.concat_tables(parts, promote_options="default")


def retrieval(data: Path, rng: np.random.Generator, begin: int, weeks: int) -> pa.Table:
    """Sessions of a retrieval service, one account each, with its repeats; hour and weekday as recorded."""
    columns = ["session_id", "ts_s", "in_tokens", "out_tokens", "sys_prompt", "user_input"]
    table = pq.read_table(data / "trace_ragpulse.parquet", columns=columns)
    names, session = np.unique(np.array(table["session_id"].to_pylist(), dtype=str), return_inverse=True)
    seconds = table["ts_s"].to_numpy() + begin + WEEK * rng.integers(0, weeks, len(names))[session]
    return pa.table(
        {
            "exchange_id": [f"rag-{i}" for i in range(table.num_rows)],
            "ts": _stamps(seconds),
            "account_id": pa.array(names).take(pa.array(session)),
            "session_id": pa.array(names).take(pa.array(session)),
            "input_tokens": table["in_tokens"].cast(pa.int32()),
            "output_tokens": table["out_tokens"].cast(pa.int32()),
            "system_hash": _named(table["sys_prompt"]),
            "prompt_id": _named(table["user_input"]),
        }
    )


def tenants(data: Path, rng: np.random.Generator, begin: int, weeks: int) -> pa.Table:
    """API tenants at the measured rates of their first week, thinned; Poisson within ten minutes, redrawn each week."""
    rates = pq.read_table(data / "trace_servegen_client_rates.parquet", columns=["model", "client", "t_s", "rate"])
    names = [f"{m}-{c}" for m, c in zip(rates["model"].to_pylist(), rates["client"].to_pylist(), strict=True)]
    rate, start = np.nan_to_num(rates["rate"].to_numpy().astype(np.float64)), rates["t_s"].to_numpy()
    first = start < WEEK
    expected = rate * WINDOW * first
    windows, times = [], []
    for week in range(weeks):
        count = rng.poisson(expected * min(1.0, TENANT_REQUESTS / expected.sum()))
        window = np.repeat(np.arange(len(count)), count)
        windows.append(window)
        times.append(begin + week * WEEK + start[window] + rng.uniform(0, WINDOW, len(window)))
    chosen = pa.array(np.concatenate(windows))
    return pa.table(
        {
            "exchange_id": [f"gen-{i}" for i in range(len(chosen))],
            "ts": _stamps(np.concatenate(times)),
            "account_id": pa.array(names).take(chosen),
            "model": rates["model"].cast(pa.string()).take(chosen).combine_chunks(),
        }
    )


def agents(data: Path, rng: np.random.Generator, begin: int, weeks: int) -> pa.Table:
    """Coding-agent sessions, one account each, without replayed copies. Their start is unknown, so it is drawn."""
    columns = ["trace", "t", "model", "in_tokens", "out_tokens", "session_dup_group"]
    table = pq.read_table(data / "trace_claude_code_sessions.parquet", columns=columns)
    trace = np.array(table["trace"].to_pylist(), dtype=str)
    _, first = np.unique(table["session_dup_group"].to_numpy(), return_index=True)
    table = table.filter(pa.array(np.isin(trace, trace[first])))
    names, session = np.unique(np.array(table["trace"].to_pylist(), dtype=str), return_inverse=True)
    began = begin + rng.integers(0, weeks * 7, len(names)) * DAY + rng.uniform(7, 22, len(names)) * 3600
    kept = pa.array(names).take(pa.array(session))
    return pa.table(
        {
            "exchange_id": [f"agent-{i}" for i in range(table.num_rows)],
            "ts": _stamps(began[session] + table["t"].to_numpy()),
            "account_id": kept,
            "session_id": kept,
            "model": table["model"].cast(pa.string()),
            "input_tokens": table["in_tokens"].cast(pa.int32()),
            "output_tokens": table["out_tokens"].cast(pa.int32()),
        }
    )


def _stamps(seconds: Any) -> pa.Array:
    return pa.array(np.round(np.asarray(seconds, dtype=np.float64) * MICRO).astype(np.int64)).cast(STAMP)


def _named(blocks: pa.ChunkedArray) -> pa.Array:
    """One number per distinct list of hashed blocks; null for an empty one."""

    def number(value: list[int]) -> int:
        return int.from_bytes(hashlib.blake2b(repr(value).encode(), digest_size=8).digest(), "big")

    return pa.array([number(v) if v else None for v in blocks.to_pylist()], pa.uint64())


HEAD = ("Scenario", *COLUMNS, "Accounts, real ones", "Exchanges, real ones")


def row(run: Run) -> list[str]:
    """One run as a row of the table."""
    world = run["world"]
    real = [f"{world[n]:,}, {world[f'real_{n}']:,}" for n in ("accounts", "exchanges")]
    return [run["family"], *cells(run), *real]


def report(runs: list[Run], lookalikes: bool) -> str:
    """The section in Markdown."""
    total = sums(runs)
    roles = ", ".join(f"{r} {n} of {h:,}" for r, (n, h) in total["honest_flagged_by_role"].items())
    others = "with the simulator's honest accounts" if lookalikes else "without other simulated accounts"
    return "\n".join(
        [
            "## Simulated campaigns in real traffic" + (", look-alikes included" if lookalikes else ""),
            "",
            "Campaigns of the project's own simulator among real sessions of a retrieval service, real API tenants and "
            f"real coding-agent sessions, {others}. The real accounts have times, tokens and repeats, but no attribute "
            "that could link them; a random share of them is trusted.",
            "",
            f"| {' | '.join(HEAD)} |",
            "|---" * len(HEAD) + "|",
            *(f"| {' | '.join(row(r))} |" for r in runs),
            "",
            f"Campaigns found: {total['found']} of {total['worlds']}. "
            f"Members flagged: {total['caught']:,} of {total['members']:,}. "
            f"False alarms: {total['false_alarms']}.",
            "",
            f"Honest accounts flagged: {total['honest_flagged']:,} of {total['honest']:,}. By role: {roles or 'none'}.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
