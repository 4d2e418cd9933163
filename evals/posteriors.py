"""Whether posteriors are calibrated, and how precise they are with more cover and fewer days.

    python -m evals.posteriors [--seeds 321 322] [--scale 0.2] [--days 1 7 90] [--jobs 2] [--out DIR]

A resale proxy harvests one request per account per day, under 0 to 99 % of its customers' traffic. Each log of ninety
days is scanned as of increasing days. Posteriors of exchanges are compared with the truth by bins (a reliability
diagram), and each account's estimated share of harvest with its true one. Everything is simulated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import vl_convert

from clonewatch.lab.campaigns.proxies import COVERS
from clonewatch.lab.evaluate import evaluate
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.scan import ScanSettings, scan
from evals.logs import FOLDER, fingerprint, part, save

SEEDS = (1, 2)
SCALE = 0.2
DAYS = (1, 3, 7, 14, 30, 60, 90)
BINS = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0 + 1e-9])
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "evaluation-posteriors.svg"
Result = dict[str, Any]


def scanned_until(log: Path, scan_folder: Path, key: Path, day: int) -> Result:
    """Scan the first `day` days of a log, and score the posteriors of exchanges and the flagged accounts."""
    first = pc.min(pq.read_table(log / "exchanges", columns=["ts"])["ts"]).as_py()
    until = first.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=day)
    found = scan(ScanSettings((str(log),), scan_folder, key_file=key, threads=1, as_of=until))
    truth = _until(log, until)
    scores = evaluate(scan_folder, log / "labels")
    flagged = found.tables["campaigns"].filter(found.tables["campaigns"]["flagged"])["campaign_id"].combine_chunks()
    attribution = pq.read_table(scan_folder / "attribution.parquet")
    attribution = attribution.filter(pc.is_in(attribution["campaign_id"], value_set=flagged))
    true = pc.is_in(attribution["exchange_id"], value_set=truth["harvest"]).to_numpy(zero_copy_only=False)
    posterior = attribution["posterior"].to_numpy().astype(np.float64)
    sure = posterior >= 0.5
    scored = set(attribution["account_id"].unique().to_pylist())
    bins = np.clip(np.searchsorted(BINS, posterior, "right") - 1, 0, len(BINS) - 2)
    shares = _shares(attribution, posterior, true)
    return {
        "day": day,
        "found": len(scores["campaigns"]["found"]),
        "members": truth["members"],
        "caught": scores["accounts"]["true_positive"],
        "honest_flagged": scores["accounts"]["false_positive"],
        "honest_flagged_roles": scores["accounts"]["honest_flagged_by_role"],
        "honest": scores["accounts"]["honest"],
        "harvest": len(truth["harvest"]),
        "right": int((sure & true).sum()),
        "wrong": int((sure & ~true).sum()),
        "honest_exchanges": truth["exchanges"] - len(truth["harvest"]),
        "accounts_scored": len(scored),
        "bins": [
            [int((bins == b).sum()), float(posterior[bins == b].sum()), int(true[bins == b].sum())]
            for b in range(len(BINS) - 1)
        ],
        "share_said": float(np.mean(shares[0])) if len(shares[0]) else None,
        "share_true": float(np.mean(shares[1])) if len(shares[0]) else None,
        "share_error": float(np.mean(np.abs(shares[0] - shares[1]))) if len(shares[0]) else None,
    }


def _until(log: Path, until: Any) -> Result:
    """Harvested exchanges, active members and the number of exchanges before an instant."""
    rows = pq.read_table(log / "exchanges", columns=["exchange_id", "ts", "account_id"])
    rows = rows.filter(pc.less(rows["ts"], pa.scalar(until, rows["ts"].type)))
    labels = pq.read_table(log / "labels" / "exchanges.parquet", columns=["exchange_id"])["exchange_id"]
    ours = rows.filter(pc.is_in(rows["exchange_id"], value_set=labels.combine_chunks()))
    return {
        "harvest": ours["exchange_id"].combine_chunks(),
        "members": len(ours["account_id"].unique()),
        "exchanges": rows.num_rows,
    }


def _shares(attribution: pa.Table, posterior: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each account's estimated and true share of harvest among its scored exchanges."""
    _, account = np.unique(attribution["account_id"].to_numpy(zero_copy_only=False), return_inverse=True)
    n = np.maximum(np.bincount(account), 1)
    return np.bincount(account, posterior) / n, np.bincount(account, true) / n


def measure(cover: int, seed: int, scale: float, days: Sequence[int], place: Path, source: str) -> list[Result]:
    """Every day on one simulated log; `place` keeps finished days and is read first."""
    kept: Result = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    done: list[Result] = kept["days"] if kept.get("source") == source else []
    missing = [day for day in days if day not in {row["day"] for row in done}]
    if missing:
        pa.set_cpu_count(1)
        with tempfile.TemporaryDirectory(prefix="clonewatch-posteriors-") as scratch:
            folder = Path(scratch)
            key = folder / "key"
            key.touch(mode=0o600)
            key.write_text(hashlib.sha256(f"{cover} {seed}".encode()).hexdigest() + "\n", encoding="ascii")
            simulate(f"cover_{cover:02}", folder / "log", seed=seed, scale=scale)
            for day in missing:
                row = scanned_until(folder / "log", folder / f"scan-{day}", key, day)
                done.append({"cover": cover, "seed": seed} | row)
                save(place, {"source": source, "days": done})
    return [row for row in done if row["day"] in days]


def pooled(rows: Sequence[Result]) -> list[Result]:
    """The bins of all rows pooled: exchanges, mean posterior, and share truly harvested."""
    total = np.sum([row["bins"] for row in rows], axis=0) if rows else np.zeros((len(BINS) - 1, 3))
    return [
        {
            "from": float(low),
            "to": float(min(high, 1.0)),
            "n": int(n),
            "said": said / n if n else None,
            "true": true / n if n else None,
        }
        for low, high, (n, said, true) in zip(BINS[:-1], BINS[1:], total, strict=True)
    ]


def calibration_error(bins: Sequence[Result]) -> float:
    """Expected calibration error (Naeini et al. 2015): |posterior - truth| by bin, weighted by exchanges.

    >>> calibration_error([{"n": 3, "said": 0.9, "true": 0.8}, {"n": 0, "said": None, "true": None}])
    0.1
    """
    count = sum(b["n"] for b in bins)
    return round(sum(b["n"] * abs(b["said"] - b["true"]) for b in bins if b["n"]) / count, 6) if count else 0.0


def report(rows: Sequence[Result], said: str) -> str:
    """The section in Markdown."""
    lines = [
        "## Posteriors under cover and over time",
        "",
        said,
        "",
        "![Reliability, precision and recall](pictures/evaluation-posteriors.svg)",
        "",
        "| Cover | Days | Found | Account recall | Honest accounts flagged | Exchange precision | Exchange recall "
        "| Honest exchanges hit | Share of harvest, estimated | true | mean error per account |",
        "|---" * 11 + "|",
    ]
    keys = sorted({(r["cover"], r["day"]) for r in rows})
    for cover, day in keys:
        mine = [r for r in rows if (r["cover"], r["day"]) == (cover, day)]
        total = {
            k: sum(r[k] for r in mine) for k in ("found", "members", "caught", "honest_flagged", "honest", "harvest")
        }
        right, wrong, honest_exchanges = (sum(r[k] for r in mine) for k in ("right", "wrong", "honest_exchanges"))
        estimated = [r for r in mine if r["share_said"] is not None]
        shares = [
            f"{np.mean([r[k] for r in estimated]):.3f}" if estimated else "-"
            for k in ("share_said", "share_true", "share_error")
        ]
        lines.append(
            f"| {cover} % | {day} | {total['found']} of {len(mine)} | {part(total['caught'], total['members'])} "
            f"| {total['honest_flagged']} of {total['honest']:,} | {part(right, right + wrong)} "
            f"| {part(right, total['harvest'])} | {wrong} of {honest_exchanges:,} | {' | '.join(shares)} |"
        )
    lines += [
        "",
        "Exchanges of flagged campaigns by posterior, all logs and days pooled:",
        "",
        "| Posterior | Exchanges | Mean posterior | Truly harvested |",
        "|---" * 4 + "|",
    ]
    bins = pooled(rows)
    for b in bins:
        if b["n"]:
            lines.append(f"| {b['from']:.2f} to {b['to']:.2f} | {b['n']:,} | {b['said']:.3f} | {b['true']:.3f} |")
    lines += ["", f"Expected calibration error: {calibration_error(bins):.4f}."]
    return "\n".join([*lines, ""])


def draw(rows: Sequence[Result]) -> str:
    """SVG of the reliability diagram, and of exchange precision and recall by day, one curve per cover."""
    bins = [b | {"of": "all"} for b in pooled(rows) if b["n"]]
    values = []
    for cover, day in sorted({(r["cover"], r["day"]) for r in rows}):
        mine = [r for r in rows if (r["cover"], r["day"]) == (cover, day)]
        right, wrong, harvest = (sum(r[k] for r in mine) for k in ("right", "wrong", "harvest"))
        for of, share in (
            ("precision", right / (right + wrong) if right + wrong else None),
            ("recall", right / harvest),
        ):
            values.append({"cover": f"{cover} %", "day": day, "of": of, "share": share})
    axis = {"type": "quantitative", "scale": {"domain": [0, 1]}}
    curves = [
        {
            "data": {"values": [v for v in values if v["of"] == of and v["share"] is not None]},
            "width": 230,
            "height": 220,
            "mark": {"type": "line", "point": {"size": 26}},
            "encoding": {
                "x": {"field": "day", "type": "quantitative", "title": "days in the log", "scale": {"type": "log"}},
                "y": axis | {"field": "share", "title": f"exchange {of}"},
                "color": {
                    "field": "cover",
                    "type": "ordinal",
                    "title": "customers' traffic",
                    "sort": [f"{c} %" for c in COVERS],
                    "scale": {"scheme": "viridis"},
                },
            },
        }
        for of in ("precision", "recall")
    ]
    ideal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "color": "#bbb"},
        "encoding": {"x": axis | {"field": "x"}, "y": axis | {"field": "y"}},
    }
    points = {
        "data": {"values": bins},
        "mark": {"type": "circle", "color": "#1d4e89", "opacity": 0.85},
        "encoding": {
            "x": axis | {"field": "said", "title": "posterior"},
            "y": axis | {"field": "true", "title": "truly harvested"},
            "size": {
                "field": "n",
                "type": "quantitative",
                "scale": {"type": "log", "range": [20, 300]},
                "title": None,
                "legend": None,
            },
        },
    }
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "hconcat": [{"width": 220, "height": 220, "layer": [ideal, points]}, *curves],
        "config": {"view": {"stroke": None}, "axis": {"gridColor": "#e4e4e4"}, "background": "white"},
    }
    return str(vl_convert.vegalite_to_svg(spec))


def main() -> int:
    """Run the missing days, write the section and draw the picture."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--covers", nargs="+", type=int, default=list(COVERS), choices=COVERS, metavar="PERCENT")
    parse.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parse.add_argument("--scale", type=float, default=SCALE)
    parse.add_argument("--days", nargs="+", type=int, default=list(DAYS), metavar="N")
    parse.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parse.add_argument("--out", type=Path, default=FOLDER)
    parse.add_argument("--picture", type=Path, default=PICTURE)
    options = parse.parse_args()
    scripts = [Path(__file__), Path(__file__).with_name("logs.py")]
    source = fingerprint(*scripts)
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        waiting = [
            pool.submit(
                measure,
                cover,
                seed,
                options.scale,
                options.days,
                options.out / "posteriors" / f"{cover}-{seed}-{options.scale:g}.json",
                source,
            )
            for cover in reversed(options.covers)
            for seed in options.seeds
        ]
        rows = [row for one in waiting for row in one.result()]
    if fingerprint(*scripts) != source:
        sys.exit("the source changed during the measurement: run again")
    said = (
        f"A resale proxy at scale {options.scale:g}, seeds {', '.join(map(str, options.seeds))}; one harvested request "
        "per account per day, the rest customers' traffic; scans as of increasing days of the same logs. clonewatch "
        f"{version('clonewatch')}, source {source}. Account recall covers the members that had harvested by then."
    )
    text = report(rows, said)
    (options.out / "posteriors.md").write_text(text, encoding="utf-8")
    options.picture.write_text(draw(rows), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
