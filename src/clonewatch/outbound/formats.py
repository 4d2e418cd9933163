"""An event as text for people, as JSON, as a line in Common Event Format, and as an OCSF Detection Finding."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from clonewatch.model.version import __version__
from clonewatch.outbound.events import Event

TEXT, EVENT, CEF, OCSF, OCSF_SIGNED = "text", "event", "cef", "ocsf", "ocsf-1.9"
FORMATS = (EVENT, CEF, OCSF, OCSF_SIGNED)
# The released version, and the next one, which has the profile record_integrity.
_OCSF_VERSIONS = {OCSF: "1.8.0", OCSF_SIGNED: "1.9.0"}
_NAMES = {
    "case.flagged": "Group of linked accounts flagged",
    "case.review": "Group of linked accounts for review",
    "case.reopened": "Case open again",
    "case.ruled": "Case ruled on",
    "case.merged": "Cases merged",
    "case.split": "Case split",
    "case.undone": "Change of a case taken back",
    "containment.begun": "Containment begun",
    "containment.ended": "Containment ended",
    "appeal.received": "Appeal received",
    "appeal.replied": "Reply to an appeal",
    "appeal.answered": "Appeal answered",
    "overdue": "Overdue",
}
# From 0 to 10, as CEF counts.
_URGENT = {"case.flagged": 7, "case.reopened": 6, "overdue": 6, "appeal.received": 5, "case.review": 4}
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH = 1, 2, 3, 4
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_NEW, _IN_PROGRESS, _SUPPRESSED, _RESOLVED = 1, 2, 3, 4
_FINDING, _CATEGORY = 2004, 2
_SHA256, _HEX, _JCS = 3, 1, 2


def written(event: Event, form: str) -> str:
    """An event in one of FORMATS, without a line end; JSON with sorted keys."""
    if form == CEF:
        return cef(event)
    held = finding(event, form) if form in _OCSF_VERSIONS else event
    return msgspec.json.encode(held, order="sorted").decode()


def text(event: Event) -> tuple[str, str]:
    """Title and text for people.

    >>> window = {"first": "2026-05-01T00:00:00Z", "last": "2026-05-09T00:00:00Z"}
    >>> data = {"case": "K0001", "outcome": "flagged", "accounts": 18, "exchanges": 4030, "window": window}
    >>> print(*text(Event("log-1", "case.flagged", "2026-05-09T09:00:00Z", data)), sep="; ")
    K0001: group of linked accounts flagged; 18 accounts, 4,030 exchanges from 2026-05-01 to 2026-05-09 (flagged).
    """
    data = event.data
    window = data["window"]
    title = f"{data['case']}: {_NAMES[event.type][0].lower()}{_NAMES[event.type][1:]}"
    said = [
        f"{data['accounts']:,} accounts, {data['exchanges']:,} exchanges from {window['first'][:10]} to"
        f" {window['last'][:10]} ({data['outcome']})."
    ]
    if ruling := data.get("ruling"):
        said.append(f"Ruling: {ruling['ruling'].replace('_', ' ')}.")
    if held := data.get("containment"):
        said.append(f"Containment {held['id']}: {held['measure']}, {held['state']}.")
    if held := data.get("appeal"):
        said.append(f"Appeal {held['id']}: {held['state']}, to be answered by {held['deadline']}.")
    if "overdue" in data:
        said.append(f"Overdue since {data['day']}: {data['overdue']}.")
    if "link" in data:
        said.append(data["link"])
    return title, "\n".join(said)


def cef(event: Event) -> str:
    """An event as one line of ArcSight's Common Event Format, version 0."""
    data = event.data
    title, said = text(event)
    head = ("Clonewatch", "Clonewatch", __version__, event.type, title, str(_URGENT.get(event.type, 3)))
    pairs: dict[str, Any] = {
        "rt": _milliseconds(event.timestamp),
        "externalId": event.id,
        "cs1Label": "case",
        "cs1": data["case"],
        "cs2Label": "outcome",
        "cs2": data["outcome"],
        "cn1Label": "accounts",
        "cn1": data["accounts"],
        "cn2Label": "exchanges",
        "cn2": data["exchanges"],
        "start": _milliseconds(data["window"]["first"]),
        "end": _milliseconds(data["window"]["last"]),
        "request": data.get("link"),
        "msg": said,
    }
    extension = " ".join(f"{name}={_escaped(value)}" for name, value in pairs.items() if value not in (None, ""))
    return f"CEF:0|{'|'.join(map(_in_head, head))}|{extension}"


def finding(event: Event, form: str = OCSF) -> dict[str, Any]:
    """An event as an OCSF Detection Finding (class 2004). Every event about a case has the finding id of the case."""
    data = event.data
    title, said = text(event)
    first, last = _milliseconds(data["window"]["first"]), _milliseconds(data["window"]["last"])
    opened, now = _milliseconds(data["opened"]), _milliseconds(event.timestamp)
    activity = _activity(event)
    held: dict[str, Any] = {
        "activity_id": activity,
        "category_uid": _CATEGORY,
        "class_uid": _FINDING,
        "type_uid": _FINDING * 100 + activity,
        "severity_id": _severity(event),
        "status_id": _status(event),
        "is_alert": event.type in ("case.flagged", "case.reopened"),
        "time": opened,
        "message": f"{title}. {said}",
        "metadata": {
            "version": _OCSF_VERSIONS[form],
            "uid": event.id,
            "event_code": event.type,
            "logged_time": now,
            "product": {"name": "Clonewatch", "vendor_name": "Clonewatch", "version": __version__},
        },
        "finding_info": {
            "uid": data["case"],
            "title": title,
            "desc": said,
            "types": ["linked accounts"],
            "created_time": opened,
            "modified_time": now,
        },
        "unmapped": {
            name: data[name] for name in ("accounts", "exchanges", "families", "version", "entry") if name in data
        },
    }
    times = {"first_seen_time": first, "last_seen_time": last}
    held["finding_info"] |= {name: value for name, value in times.items() if value is not None}
    held |= {name: value for name, value in (("start_time", first), ("end_time", last)) if value is not None}
    if "link" in data:
        held["finding_info"]["src_url"] = data["link"]
    return _attested(held, event) if form == OCSF_SIGNED else held


def _attested(held: dict[str, Any], event: Event) -> dict[str, Any]:
    """A finding with its fingerprint (profile record_integrity): of its spelling after RFC 8785, without it.

    It holds no fractions, and keys in ASCII, so that sorted JSON without spaces is that spelling.
    """
    held["metadata"]["profiles"] = ["record_integrity"]
    attestation: dict[str, Any] = {"authority_uid": event.id.rpartition("-")[0], "uid": event.id}
    held["attestation_list"] = [attestation]
    digest = hashlib.sha256(msgspec.json.encode(held, order="sorted")).hexdigest()
    attestation["fingerprint"] = {
        "algorithm_id": _SHA256,
        "encoding_id": _HEX,
        "serialization_id": _JCS,
        "value": digest,
    }
    return held


def _activity(event: Event) -> int:
    ruling = (event.data.get("ruling") or {}).get("ruling")
    if event.type == "case.ruled" and ruling == "innocent":
        return _CLOSE
    return _CREATE if event.type in ("case.flagged", "case.review") and event.data["version"] == 1 else _UPDATE


def _status(event: Event) -> int:
    ruling = (event.data.get("ruling") or {}).get("ruling")
    if event.data["status"] == "ruled":
        return _SUPPRESSED if ruling == "innocent" else _RESOLVED
    return _NEW if event.data["version"] == 1 else _IN_PROGRESS


def _severity(event: Event) -> int:
    urgent = _URGENT.get(event.type, 0)
    return _HIGH if urgent >= 7 else _MEDIUM if urgent >= 5 else _LOW if urgent else _INFORMATIONAL


def _milliseconds(time: str) -> int | None:
    """A time as OCSF and CEF count it: milliseconds since 1970, UTC; None where there is none."""
    return round(datetime.fromisoformat(time).timestamp() * 1000) if time else None


def _in_head(value: str) -> str:
    return " ".join(value.split()).replace("\\", r"\\").replace("|", r"\|")


def _escaped(value: object) -> str:
    return str(value).replace("\\", r"\\").replace("=", r"\=").replace("\r", r"\r").replace("\n", r"\n")
