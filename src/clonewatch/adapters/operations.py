"""What a call asked for, by the path or the name under which an API offers it."""

from __future__ import annotations

import re

from clonewatch.adapters.columns import Values
from clonewatch.adapters.field_paths import ABSENT
from clonewatch.model.schema import OPERATIONS

_LONGEST = 1024
# Parts of paths and names between slashes, the most telling first. What asks no model for text is no operation.
_NO_TEXT = r"/images?/|imagegeneration|/audio/|transcription|moderation|rerank|count_?tokens|tokenize|/files/"
_KINDS = tuple(
    (re.compile(parts), kind)
    for parts, kind in (
        (_NO_TEXT, ABSENT),
        ("embed", "embedding"),
        (r"/batch|batch(?:es)?/|batchgenerate", "batch"),
        (r"/chat(?:[/._-]|compl)|/messages/|/responses/|/converse|generatecontent", "chat"),
        ("complet", "completion"),
    )
)


def operation(said: object) -> object:
    """The operation that a path or a name says; "-" for one that asks no model for text, None for a mute path.

    Other words stay as they are.

    >>> operation("/v1/chat/completions"), operation("Embeddings_Create"), operation("/v1/messages/batches?limit=1")
    ('chat', 'embedding', 'batch')
    >>> operation("/v1/images/generations"), operation("/gateway"), operation("edit")
    ('-', None, 'edit')
    """
    if not isinstance(said, str) or said in OPERATIONS:
        return said
    path = said[:_LONGEST].partition("?")[0].lower().replace(" ", "/")
    path = path.partition("://")[2].partition("/")[2] if "://" in path else path
    found = next((kind for parts, kind in _KINDS if parts.search(f"/{path}/")), None)
    return said if found is None and "/" not in said else found


def operations(values: Values) -> Values:
    """The same for a column."""
    plain = values if isinstance(values, list) else values.to_pylist()
    try:
        known = {value: operation(value) for value in set(plain)}
    except TypeError:  # lists and objects among them
        return [operation(value) for value in plain]
    return [known[value] for value in plain] if any(new != old for old, new in known.items()) else values
