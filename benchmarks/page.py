"""Fills the tables and draws the pictures of docs/performance.md from the figures in benchmarks/results.

python benchmarks/page.py
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import start
import vl_convert

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
# Exchanges from which the fixed cost of starting matters little.
_LARGE = 3_000_000
PICTURES = HERE.parent / "docs" / "pictures"


def machine(scan: dict[str, Any]) -> str:
    """The machine and versions of a measurement, in one paragraph."""
    m = scan["machine"]
    before, after = m["load_before"][0], m.get("load_after", m["load_before"])[0]
    beside = "Other programs ran at the same time, so wall-clock seconds are too long: compare CPU-seconds."
    packages = ", ".join(f"{name} {number}" for name, number in m["packages"].items())
    return (
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB of memory; Python {m['python']}, {packages}; commit "
        f"{m['commit']}, {m['date']}; load {before} before and {after} after.{' ' + beside if before >= 2 else ''}"
    )


def sizes(scan: dict[str, Any]) -> str:
    """A row per size of log without text."""
    lines = [
        "| exchanges | accounts | log, MB | seconds | CPU-seconds | exchanges per CPU-second | peak memory, MB "
        "| relative to the bare read |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for f in scan["without_text"]:
        lines.append(
            f"| {f['rows']:,} | {f['accounts']:,} | {f['bytes'] / 1e6:,.0f} | {f['seconds']:.1f} "
            f"| {f['cpu_seconds']:.1f} | {f['rows_per_cpu_second']:,} | {f['peak_mb']:,.0f} | {f['times_bare_cpu']} |"
        )
    every, largest = scan["growth"]["all"], scan["growth"]["two_largest"]
    lines.append(
        f"\nBetween the two largest logs CPU-seconds grow as rows to the power {largest['cpu_seconds']}, peak memory "
        f"to the power {largest['peak_mb']} (1 is linear). Over all sizes the powers are {every['cpu_seconds']} and "
        f"{every['peak_mb']}: the fixed cost of starting makes small logs look expensive."
    )
    return "\n".join(lines)


def stages(scan: dict[str, Any]) -> str:
    """The cost of each stage of the largest scan."""
    largest = scan["without_text"][-1]
    lines = ["| stage | seconds | CPU-seconds | rows passed |", "|---|---:|---:|---:|"]
    for s in largest["stages"]:
        lines.append(f"| {s['name']} | {s['seconds']:.1f} | {s['cpu_seconds']:.1f} | {s['rows']:,} |")
    return "\n".join(lines)


def text(scan: dict[str, Any]) -> str:
    """The log with text."""
    f = scan["with_text"]
    if not f:
        return "Not measured."
    reading = next(s for s in f["stages"] if s["name"] == "reading")
    return (
        "| exchanges | bytes per line | log, MB | seconds | CPU-seconds | of which reading and fingerprints "
        "| exchanges per CPU-second | MB per CPU-second | peak memory, MB | relative to the bare read |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        f"| {f['rows']:,} | {f['bytes_per_row']:,} | {f['bytes'] / 1e6:,.0f} | {f['seconds']:.1f} "
        f"| {f['cpu_seconds']:.1f} | {reading['cpu_seconds']:.1f} | {f['rows_per_cpu_second']:,} "
        f"| {f['mb_per_cpu_second']} | {f['peak_mb']:,.0f} | {f['times_bare_cpu']} |"
    )


def reading(found: dict[str, Any]) -> str:
    """A row per format."""
    lines = ["| what | us per exchange | exchanges per CPU-second | MB per CPU-second |", "|---|---:|---:|---:|"]
    for name, f in found["formats"].items():
        lines.append(f"| {name} | {f['us']} | {f['rows_per_cpu_second']:,} | {f['mb_per_cpu_second']} |")
    return "\n".join(lines)


def engines(found: dict[str, Any]) -> str:
    """A row per log and engine, and the machine."""
    lines = [
        "| exchanges | engine | seconds | CPU-seconds | peak memory, MB | largest difference from DuckDB's tables |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for log in found["logs"]:
        for name, f in log["engines"].items():
            apart = "-" if name == "duckdb" else f["largest_difference"]
            cost = f"{f['seconds']:.0f} | {f['cpu_seconds']:.0f} | {f['peak_mb']:,}"
            lines.append(f"| {log['rows']:,} | {name} | {cost} | {apart} |")
    return "\n".join(lines) + f"\n\n{machine(found)} {found['machine']['java'].capitalize()}."


def gateway(found: dict[str, Any]) -> str:
    """Decisions with a snapshot, with a delta to it, and with a dictionary; publishing; HTTP; the machine."""
    lines = [
        "| list | decisions per CPU-second | median, us | 99 % within, us | 99.9 % within, us | memory, MB "
        "| its own, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    delta = found["delta"]
    readers = {
        "a snapshot": found["snapshot"],
        f"a delta of {delta['rows']:,} rows to it": delta["reading"],
        "a dictionary": found["dictionary"],
    }
    for name, f in readers.items():
        times = " | ".join(f"{f[key]:,.1f}" for key in ("p50_us", "p99_us", "p999_us"))
        lines.append(f"| {name} | {f['decisions_per_cpu_second']:,} | {times} | {f['rss_mb']} | {f['own_mb']} |")
    whole, http = found["publishing"], found["http"]
    lines.append(
        f"\nThe snapshot has {whole['bytes'] / 1e6:,.1f} MB and takes {whole['cpu_seconds']} CPU-seconds to write, the"
        f" delta {delta['bytes'] / 1e6:,.1f} MB and {delta['cpu_seconds']}. Reading and checking the snapshot takes"
        f" {found['snapshot']['open_seconds']} seconds. Over HTTP, one question after the other on one connection:"
        f" {http['p50_ms']} ms at the median, 99 % within {http['p99_ms']} ms. {machine(found)}"
    )
    return "\n".join(lines)


def live(found: dict[str, Any]) -> str:
    """What a service takes in, beside the floor; memory over time; the machine."""
    held, floor = found["service"], found["floor"]
    lines = ["| work | spans per CPU-second |", "|---|---:|"]
    rows = {
        "parsing the requests alone (the floor)": floor["parse_only"],
        "parsing them and writing the line for the spool": floor["parse_and_line"],
        "the process that receives, with HTTP and the disk": held["receiver_per_cpu_second"],
        "the worker, until they are in the state": held["worker_per_cpu_second"],
        "both together": held["both_per_cpu_second"],
    }
    lines += [f"| {name} | {value:,} |" for name, value in rows.items()]
    third = max(1, len(held["memory_mb"]) // 3)
    first, last = held["memory_mb"][:third], held["memory_mb"][-third:]
    most = {name: [max(m[at] for m in part) for part in (first, last)] for name, at in (("it", 1), ("worker", 2))}
    lines.append(
        f"\n{held['acknowledged']:,} spans of {floor['bytes_per_span']:,} bytes in requests of {found['spans']}, over"
        f" {found['senders']} connections in {held['seconds']:.0f} seconds; {held['lost']:,} were lost, and"
        f" {held['told_to_wait']:,} requests were told to wait. A request took {held['p50_ms']:.0f} ms at the median,"
        f" 99 % within {held['p99_ms']:.0f} ms. What receives took {most['it'][0]} MB at most in the first third of the"
        f" time and {most['it'][1]} MB in the last, the worker {most['worker'][0]} and {most['worker'][1]} MB"
        f" ({held['worker_peak_mb']} MB at its peak). {machine(found)}"
    )
    return "\n".join(lines)


def gateway_load(found: dict[str, Any]) -> str:
    """Decisions over HTTP at a fixed rate, and what proxies add; the machine."""
    load = found["load"]
    lines = [
        f"| {load['rate']:,} requests a second over {load['connections']} connections | median, ms | 99 % within, ms "
        "| of each round | by the check itself, 99 % within, ms | its processor time, us | of each second it waited for"
        " a core, ms | who asks, ms |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    names = {
        "check": "a decision",
        "health": "its health, without a decision",
        "nginx alone": "nginx that answers at once",
    }
    for how in ("beside others", "alone"):
        for key, name in names.items():
            one = load[how][key]
            rounds = ", ".join(f"{value:,.1f}" for value in one["p99_ms_of_rounds"])
            waits = " | ".join(f"{1_000 * one[f'{who}_waited_for_core']:,.0f}" for who in ("server", "client"))
            own = f"{one['own_p99_ms']:g}" if "own_p99_ms" in one else ""
            lines.append(
                f"| {name}{', going first' if how == 'alone' else ''} | {one['p50_ms']:,.2f} | {one['p99_ms']:,.1f}"
                f" | {rounds} | {own} | {one['server_cpu_us']:,.0f} | {waits} |"
            )
    lines += [
        "\n| through | with the filter, median, ms | without, ms | added, ms | ratio | added at 99 %, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    through = {"nginx": "nginx", "envoy": "Envoy, ext_authz over HTTP", "ext_proc": "Envoy, ext_proc over gRPC"}
    for name, title in through.items():
        one = found[name]
        figures = [one[key] for key in ("with_p50_ms", "without_p50_ms", "added_p50_ms", "ratio_p50", "added_p99_ms")]
        lines.append(f"| {title} | {' | '.join(f'{f:,.2f}' for f in figures)} |")
    return "\n".join(lines) + f"\n\nMedians of {found['rounds']} rounds in alternation. {machine(found)}"


def _figure(found: dict[str, Any], key: str) -> str:
    """A figure that older runs did not record."""
    return f"{found[key]:,.0f}" if key in found else "-"


def headline(found: dict[str, Any]) -> str:
    """The scans of headline logs, and the machine."""
    lines = [
        "| scale | exchanges | accounts | seconds | CPU-seconds | peak memory, MB | disk, MB | spilled, MB "
        "| bare read, CPU-seconds | relative to it |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for scale, f in sorted(found.items(), key=lambda item: float(item[0])):
        lines.append(
            f"| {scale} | {f['rows']:,} | {f['accounts']:,} | {f['seconds']:.0f} | {f['cpu_seconds']:.0f} "
            f"| {f['peak_mb']:,.0f} | {_figure(f, 'disk_mb')} | {_figure(f, 'spilled_mb')} "
            f"| {f['bare']['cpu_seconds']:.1f} | {f['times_bare_cpu']} |"
        )
    largest = max(found.items(), key=lambda item: float(item[0]))[1]
    parts = ", ".join(f"{s['name']} {s['cpu_seconds']:.0f}" for s in largest["stages"])
    large = [f for f in found.values() if f["rows"] >= _LARGE]
    growth = (
        f"\n\nFrom {_LARGE / 1e6:.0f} million exchanges on CPU-seconds grow as rows to the power"
        f" {_power(large, lambda f: f['cpu_seconds'])}, those of reading to the power"
        f" {_power(large, lambda f: f['stages'][0]['cpu_seconds'])}, peak memory to the power"
        f" {_power(large, lambda f: f['peak_mb'])} (1 is linear; the aims are 1.1 and, for reading, 1.05)."
        f" CPU-seconds of the largest by stage: {parts}. {machine(largest)}"
    )
    return "\n".join(lines) + growth


def _power(logs: list[dict[str, Any]], cost: Callable[[dict[str, Any]], float]) -> float:
    """The exponent b of cost = a * rows ** b, by least squares over logarithms."""
    x, y = [math.log(f["rows"]) for f in logs], [math.log(cost(f)) for f in logs]
    return round(statistics.linear_regression(x, y).slope, 3)


def daily(found: dict[str, Any]) -> str:
    """The cost of days added to a state and of the windows after them, and the machine."""
    days, update = found["days"][:-1], found["days"][-1]
    lines = [
        "| what | exchanges | seconds | CPU-seconds | peak memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    third = max(1, len(days) // 3)
    for name, few in (
        ("one day, median of the first third", days[:third]),
        ("one day, median of the last third", days[-third:]),
    ):
        middle = [statistics.median(d[k] for d in few) for k in ("rows", "seconds", "cpu_seconds", "peak_mb")]
        lines.append("| {} | {:,.0f} | {:.1f} | {:.1f} | {:,.0f} |".format(name, *middle))
    rest = [("the update at the end", update), *((f"a window of {w['days']} days", w) for w in found["windows"])]
    rest += [(f"the same window, unchanged ({w['days']} days)", w["unchanged"] | {"rows": 0}) for w in found["windows"]]
    for name, f in rest:
        lines.append(f"| {name} | {f['rows']:,} | {f['seconds']:.1f} | {f['cpu_seconds']:.1f} | {f['peak_mb']:,.0f} |")
    total = sum(d["rows"] for d in found["days"])
    lines.append(
        f"\nThe state then holds {total:,} exchanges of {found['log']} in {found['state_mb']:,} MB. {machine(found)}"
    )
    return "\n".join(lines)


def console(pages: dict[str, Any], evidence: dict[str, Any]) -> str:
    """A row per page of the console: milliseconds in all, and of the server's processor."""
    lines = [
        "| page | milliseconds, median | the first after a start | of the server's processor |",
        "|---|---:|---:|---:|",
    ]
    for f in pages["pages"]:
        lines.append(f"| {f['page']} | {f['median_ms']:.0f} | - | {f['cpu_ms']:.0f} |")
    for name, f in evidence["pages"].items():
        spent = f"{f['median'] * 1000:,.0f} | {f['first'] * 1000:,.0f} | {f['median_server_cpu'] * 1000:,.0f}"
        lines.append(f"| in a browser: {name} | {spent} |")
    before, after = evidence["machine"]["load"]
    return "\n".join(lines) + (
        f"\n\nThe first rows are a store of {pages['cases']:,} cases, one of {pages['accounts']:,} accounts, without a"
        f" browser, at a load of {pages['machine']['load_before'][0]:.1f}. Those in a browser (Chromium, until all is"
        f" loaded) are a result with a group of {evidence['accounts']:,} accounts and {evidence['exchanges']:,}"
        f" exchanges; load {before} before and {after} after, on {evidence['machine']['cores']} cores. Showing them"
        f" takes the server from {evidence['server']['before_mb']:,} to {evidence['server']['peak_mb']:,} MB at most."
    )


def growth_picture(scan: dict[str, Any], large: dict[str, Any]) -> str:
    """CPU-seconds and peak memory by number of exchanges, both axes logarithmic."""
    logs = [*(("mixed", f) for f in scan["without_text"]), *(("headline", f) for f in large.values())]
    values = [
        {"exchanges": f["rows"], "value": f[key], "of": label, "log": name}
        for name, f in logs
        for key, label in (("cpu_seconds", "CPU-seconds"), ("peak_mb", "peak memory, MB"))
    ]
    axis = {"type": "quantitative", "scale": {"type": "log"}, "axis": {"format": "~s", "tickCount": 5}}
    return _svg(
        {
            "data": {"values": values},
            "facet": {"column": {"field": "of", "type": "nominal", "title": None}},
            "resolve": {"scale": {"y": "independent"}},
            "spec": {
                "width": 280,
                "height": 240,
                "mark": {"type": "line", "point": True},
                "encoding": {
                    "x": {"field": "exchanges", "title": "exchanges", **axis},
                    "y": {"field": "value", "title": None, **axis},
                    "color": {"field": "log", "type": "nominal", "title": "log"},
                },
            },
        }
    )


def daily_picture(found: dict[str, Any]) -> str:
    """Seconds to add each day to a state, by the exchanges it already held."""
    held = 0
    values = []
    for day in found["days"]:
        values.append({"held": held, "seconds": day["seconds"], "added": day["rows"]})
        held += day["rows"]
    return _svg(
        {
            "data": {"values": values},
            "width": 560,
            "height": 220,
            "mark": {"type": "point", "filled": True},
            "encoding": {
                "x": {
                    "field": "held",
                    "type": "quantitative",
                    "title": "exchanges in the state before",
                    "axis": {"format": "~s"},
                },
                "y": {"field": "seconds", "type": "quantitative", "title": "seconds to add a day"},
                "size": {
                    "field": "added",
                    "type": "quantitative",
                    "title": "exchanges added",
                    "legend": {"format": "~s"},
                },
            },
        }
    )


def engines_picture(found: dict[str, Any]) -> str:
    """CPU-seconds of every engine on the same rows, on a logarithmic axis."""
    values = [
        {"exchanges": f"{log['rows']:,}", "engine": name, "cpu": f["cpu_seconds"]}
        for log in found["logs"]
        for name, f in log["engines"].items()
    ]
    scale = {"type": "log", "domain": [1, 10 ** math.ceil(math.log10(max(v["cpu"] for v in values)))]}
    return _svg(
        {
            "data": {"values": values},
            "width": 420,
            "mark": {"type": "point", "filled": True, "size": 90},
            "encoding": {
                "x": {"field": "cpu", "type": "quantitative", "title": "CPU-seconds", "scale": scale},
                "y": {"field": "engine", "type": "nominal", "title": None},
                "color": {"field": "exchanges", "type": "nominal", "title": "exchanges"},
            },
        }
    )


def _svg(spec: dict[str, Any]) -> str:
    drawn: str = vl_convert.vegalite_to_svg({"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **spec})
    return drawn


def main() -> None:
    """Fill the page and draw the pictures."""
    found = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (HERE / "results").glob("*.json")}
    scan, large, kept, compared = (found[name] for name in ("scan", "headline", "daily", "engines"))
    parts = {
        "machine": machine(scan),
        "sizes": sizes(scan),
        "stages": stages(scan),
        "text": text(scan),
        "reading": reading(found["reading"]),
        "start": start.table(found["start"], found["small_files"], machine),
        "engines": engines(compared),
        "daily": daily(kept),
        "headline": headline(large),
        "gateway": gateway(found["gateway"]),
        "live": live(found["live"]),
        "gateway load": gateway_load(found["gateway_load"]),
        "console": console(found["console_pages"], found["evidence_pages"]),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, filled in parts.items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=filled: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL
        )
    PAGE.write_text(page, encoding="utf-8")
    pictures = {
        "scan-growth": growth_picture(scan, large),
        "daily": daily_picture(kept),
        "engines": engines_picture(compared),
    }
    for name, drawn in pictures.items():
        (PICTURES / f"{name}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
