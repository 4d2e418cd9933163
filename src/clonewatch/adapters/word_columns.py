"""Columns that hold one of a few words."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.model.schema import CHANNELS, EGRESS, END_USER_PROVENANCE, EVENT_KINDS

# Columns that hold one of a few words.
WORDS = {
    "exchanges.channel": CHANNELS,
    "exchanges.egress": EGRESS,
    "exchanges.end_user_provenance": END_USER_PROVENANCE,
    "events.kind": EVENT_KINDS,
}


def as_words(values: pa.Array, words: tuple[str, ...]) -> tuple[pa.Array, int]:
    """Words of a fixed list, in any case; null, and counted, where the list has no such word."""
    known = pa.array(words)
    if pc.all(pc.is_in(values, known).filter(values.is_valid())).as_py() is not False:
        return values, 0
    plain = pc.replace_substring_regex(pc.utf8_lower(pc.utf8_trim_whitespace(values)), "[ -]+", "_")
    fits = pc.is_in(plain, known)
    lost = values.null_count + pc.sum(fits).as_py()
    return pc.if_else(fits, plain, pa.scalar(None, pa.string())), len(values) - lost
