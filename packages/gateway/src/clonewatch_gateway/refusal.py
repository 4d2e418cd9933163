"""Why a watch list is not used."""

from __future__ import annotations

# What is wrong with a list that is not used; each is a code that a metric can count.
SIGNATURE, DAMAGED, VERSION, ROLLBACK, OTHER_LIST, OTHER_KEY, MISSING, NO_VERIFIER, UNREADABLE = (
    "bad_signature",
    "damaged",
    "unknown_version",
    "rollback",
    "other_list",
    "other_account_key",
    "missing",
    "no_verifier",
    "unreadable",
)


class Refused(Exception):
    """A watch list that is not used. code: one of the codes above. said: what is wrong and what to do."""

    def __init__(self, code: str, said: str) -> None:
        self.code, self.said = code, said
        super().__init__(f"{code}: {said}")
