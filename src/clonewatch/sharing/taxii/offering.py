"""A release put into a collection of our own, for the peers that may read it."""

from __future__ import annotations

from clonewatch.model.errors import SetupError
from clonewatch.sharing.formats import stix
from clonewatch.sharing.release import Release
from clonewatch.sharing.taxii.store import Store, Wanted


def offer(store: Store, collection: str, release: Release, readers: int, *, plain: bool = False) -> int:
    """Add a release; how many of its objects are new. collection: its id. readers: how many peers may read it.

    plain: without our extension, in a collection where all of it is so.
    Raises SetupError for one that is older than what is there, and for TLP:RED before more than one reader.
    """
    if release.tlp == "RED" and readers > 1:
        raise SetupError(
            f"a release of TLP:RED is for one recipient, and {readers} peers read this collection",
            where=release.id,
            fix="Offer it in a collection that one peer reads",
        )
    drafts = stix.drafts(release)
    campaign, _ = store.page(collection, Wanted(ids=(f"campaign--{release.id}",)))
    at = next(one["modified"] for one in drafts if one["type"] == "campaign")
    if campaign and campaign[0].version > at:
        raise SetupError("the collection has a newer word about this campaign", where=release.id)
    earlier = store.objects(collection, [one["id"] for one in drafts])
    return store.add(collection, stix.objects(release, plain=plain, earlier=earlier))
