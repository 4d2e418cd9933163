"""Keys, entries and files of a watch list, which the tests of policies and of the gateway share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clonewatch.policy.publishing import Published, publish
from clonewatch.policy.watch_list_file import Signing
from clonewatch_gateway.watch_list import Keys, WatchList, opened

ACCOUNT_KEY = bytes(range(32))
SIGNING = Signing(Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))), ACCOUNT_KEY)
KEYS = Keys((SIGNING.public,), ACCOUNT_KEY)
# 2026-05-06T09:00:00Z; an hour, and a day.
NOW, HOUR, DAY = 1_778_058_000, 3_600, 86_400
BOUNDS: dict[str, dict[str, int]] = {
    "budget": {"tokens_per_minute": 1_000},
    "throttle_slice": {"tokens_per_minute": 1_000},
    "shorten_reasoning": {"reasoning_tokens": 1_024},
}


def entry(action: str, **other: Any) -> dict[str, Any]:
    """An entry that enforces an action by two persons for an hour."""
    return {
        "action": action,
        "appeal": "https://api.example.com/appeal",
        "approved_by": ["ana", "bob"],
        "bound": BOUNDS.get(action, {}),
        "campaign": "K0001",
        "case": "K0001",
        "ends": NOW + DAY,
        "expires": NOW + HOUR,
        "mode": "enforce",
        "reason": "linked_campaign",
        "since": NOW,
        "slice": ["template:0123456789abcdef"] if action == "throttle_slice" else [],
        **other,
    }


def published(
    folder: Path, said: Mapping[str, dict[str, Any]], now: int = NOW, valid: int = DAY, **other: Any
) -> Published:
    """Publish a list. said: account -> its entry; equal ones are one entry."""
    entries: list[dict[str, Any]] = []
    numbers = {}
    for account, one in said.items():
        if one not in entries:
            entries.append(one)
        numbers[account] = entries.index(one)
    return publish(folder, "accounts", numbers, entries, SIGNING, now, valid, **other)


def read(folder: Path, keys: Keys = KEYS, after: int = 0) -> WatchList:
    """The list in a folder."""
    delta = folder / "delta.cwl"
    return opened(folder / "snapshot.cwl", keys, delta if delta.exists() else None, after=after)


def listed(folder: Path, *actions: str, **other: Any) -> WatchList:
    """A list on which each action is against an account of its name."""
    published(folder, {action: entry(action, **other) for action in actions})
    return read(folder)
