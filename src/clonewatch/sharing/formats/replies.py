"""What recipients say of an indicator or a campaign: seen here too, or a dissent; as STIX sightings and opinions.

A sighting has a day and no count, which would tell volumes. An opinion has one word of STIX and at most one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from clonewatch.model.errors import SetupError
from clonewatch.sharing.formats import stix_words

SEEN = "seen"
OPINIONS = ("strongly-disagree", "disagree", "neutral", "agree", "strongly-agree")
_REASON = re.compile(r"[a-z_]{0,40}")
_ABOUT = re.compile(r"(?:indicator|campaign)--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Reply(NamedTuple):
    """What somebody says. author: by its name. about: id of an indicator or campaign in STIX. on: a day.

    says: `seen`, or an opinion. reason: a word, such as those of a retraction; empty for none.
    """

    author: str
    about: str
    says: str
    on: str
    reason: str = ""


def write(reply: Reply) -> list[dict[str, Any]]:
    """A reply as bare objects: who says it, and what. The same author's later word replaces the earlier one.

    Raises SetupError.
    """
    if not _ABOUT.fullmatch(reply.about) or not _REASON.fullmatch(reply.reason):
        raise SetupError("a reply is about the id of an indicator or campaign, for a reason of one word")
    if reply.says not in (SEEN, *OPINIONS):
        raise SetupError(f"a reply says one of: {', '.join((SEEN, *OPINIONS))}")
    at = stix_words.begins(reply.on)
    author = stix_words.made_id("identity", reply.author)
    kind = "sighting" if reply.says == SEEN else "opinion"
    told: dict[str, Any] = {
        "type": kind,
        "spec_version": "2.1",
        "created_by_ref": author,
        "created": at,
        "modified": at,
    }
    told["id"] = stix_words.made_id(kind, reply.author, reply.about, reply.on)
    if kind == "sighting":
        seen = {"sighting_of_ref": reply.about, "where_sighted_refs": [author], "first_seen": at, "last_seen": at}
        told |= {**seen, "description": "Seen here too"}
    else:
        told |= {"opinion": reply.says, "object_refs": [reply.about], "authors": [reply.author]}
        told |= {"explanation": reply.reason} if reply.reason else {}
    whose = {"type": "identity", "spec_version": "2.1", "id": author, "created": stix_words.FIXED}
    whose |= {"modified": stix_words.FIXED, "name": reply.author, "identity_class": "organization"}
    return [whose | {"description": "A provider of an LLM API, by the name that its recipients know"}, told]


def read(held: Mapping[str, Mapping[str, Any]], senders: Iterable[str]) -> list[Reply]:
    """The replies among objects by id; what is not in their form is none.

    senders: of releases, whose sightings are theirs. The name of an author is what the file claims; whose it is, a key
    of a collection says.
    """
    own = {stix_words.made_id("identity", one) for one in senders}
    found = []
    for one in held.values():
        by = one.get("created_by_ref")
        if one["type"] not in ("sighting", "opinion") or by in own or one.get("revoked") is True:
            continue
        name = held.get(str(by), {}).get("name")
        says = SEEN if one["type"] == "sighting" else one.get("opinion")
        reason = one.get("explanation", "")
        reason = reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""
        about = [one.get("sighting_of_ref")] if one["type"] == "sighting" else one.get("object_refs", [])
        if isinstance(name, str) and says in (SEEN, *OPINIONS) and isinstance(about, list):
            on = str(one.get("modified", ""))[:10]
            named = [a for a in about if isinstance(a, str) and _ABOUT.fullmatch(a)]
            found += [Reply(name[:80], a, str(says), on, reason) for a in named]
    return found
