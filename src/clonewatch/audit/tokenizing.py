"""The provider's tokenizer: converts a suspect's text into the token ids with which the watermark was keyed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from clonewatch.audit.folder import Unreadable
from clonewatch.audit.json_text import parsed
from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import bytes_of

_FIX = "Name a tokenizer.json, or a list with one word per line"
_WORD = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")


class Tokenizer(Protocol):
    """Text to token ids."""

    @property
    def unknown(self) -> int:
        """The id of unknown words; -1 if there is none."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without special tokens."""
        ...


class Words:
    """Lower-case words, digits and signs, for demonstrations: the id of a word is its line in a list.

    listed: words by id; of two equal ones the first counts. Unlisted words have the id after the last.

    >>> Words(["", "the", "cat"]).encode("The cat sat")
    [1, 2, 3]
    """

    def __init__(self, listed: list[str]) -> None:
        self.unknown = len(listed)
        self._ids = {word: i for i, word in reversed(list(enumerate(listed))) if word}

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return [self._ids.get(word, self.unknown) for word in _WORD.findall(text.lower())]


class Pieces:
    """A `tokenizer.json` in the Hugging Face format, read by the optional package `tokenizers`."""

    def __init__(self, text: str, where: str) -> None:
        try:
            from tokenizers import Tokenizer as Reader
        except ImportError as error:
            raise SetupError(
                "the package tokenizers is not installed", where=where, fix="Run: pip install 'clonewatch[audit]'"
            ) from error
        try:
            told = parsed(text)
        except ValueError:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("model"), dict):
            raise InputError(
                "not a tokenizer.json", where=where, fix="Use the file that came with the model that you serve"
            )
        try:
            self._reader = Reader.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise InputError(
                f"this tokenizer cannot be used: {error}", where=where, fix="Use the file that came with the model"
            ) from error
        self._reader.no_truncation()
        self._reader.no_padding()
        unknown = getattr(self._reader.model, "unk_token", None)
        found = self._reader.token_to_id(unknown) if unknown else None
        self.unknown = -1 if found is None else found

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return list(self._reader.encode(text, add_special_tokens=False).ids)


def read(place: Path) -> Tokenizer:
    """The tokenizer of a file: `.json` in the Hugging Face format, otherwise a list with one word per line."""
    try:
        text = bytes_of(place, pipes=False).decode("utf-8")
    except OSError as error:
        raise Unreadable(f"cannot read the tokenizer: {error.strerror}", where=str(place), fix=_FIX) from error
    except ValueError as error:
        raise InputError("the tokenizer is no text in UTF-8", where=str(place), fix=_FIX) from error
    if place.suffix == ".json":
        return Pieces(text, str(place))
    listed = text.removesuffix("\n").split("\n")
    if not any(listed):
        raise InputError(
            "the list of words is empty", where=str(place), fix="Write one word per line; its line is its id"
        )
    return Words(listed)
