"""Result folders of several days with one campaign and a group for review, and policies about them."""

from __future__ import annotations

from pathlib import Path

from tests.unit import report_tables as made

from clonewatch.model import schema

STRICT = """
schema = "clonewatch.policy.v1"
name = "strict"
version = 3
[[rules]]
id = "share"
when = 'campaign.outcome == "flagged"'
action = "budget"
bound = { tokens_per_minute = 10 }
reason = "shared"
[[rules]]
id = "tell"
when = 'campaign.outcome in ["flagged", "review"]'
action = "notify"
reason = "linked"
"""
# Under a measure that two persons approved, the first rule is enforced.
ENFORCED = STRICT.replace("version = 3\n", 'version = 3\nappeal_url = "https://api.example.com/appeal"\n').replace(
    'reason = "shared"\n', 'reason = "shared"\nmode = "enforce"\n'
)
ALIKE = {
    "evidence_odds_bits": 6.0,
    "families": ["identity"],
    "limiting_criterion": "linkage",
    "limiting_ratio": 1.3,
}
MILD = STRICT.replace('"strict"', '"mild"').replace("version = 3", "version = 1").replace('"flagged"', '"listed"')


def results(folder: Path, *days: int, accounts: int = 20, families: tuple[str, ...] = ("identity",)) -> list[Path]:
    """A result for each day of May, whose window ends in it, with groups C1 and C2."""
    found, alike = [], ALIKE | {"families": list(families)}
    for day in days:
        timeline = [row for row in made.timeline("C1") if row["day"] <= made.START.replace(month=5, day=day)]
        tables = {
            "campaigns": made.table(
                schema.CAMPAIGNS,
                [
                    made.campaign("C1", accounts=accounts, outcome="flagged", odds_bits=8.0, rank=1, **alike),
                    made.campaign("C2", flagged=False, accounts=5, outcome="review", odds_bits=2.0, rank=2, **alike),
                ],
            ),
            "members": made.table(schema.MEMBERS, [*made.members("C1", accounts), *made.members("C2", 5)]),
            "timeline": made.table(schema.TIMELINE, timeline),
        }
        said = made.summary() | {
            "window": {"first": "2026-04-22T00:00:04+00:00", "last": f"2026-05-{day:02}T23:59:41+00:00"}
        }
        found.append(made.publish(folder / f"result-{day:02}", tables, said))
    return found


def policy(folder: Path, text: str = STRICT, name: str = "policy.toml") -> Path:
    """A file with a policy."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name
