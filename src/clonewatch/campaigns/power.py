"""What a log could show: the chance that a campaign of a given size is found, by a model of many simulated logs.

The model comes from `python -m evals.power`: logistic regression of outcomes on size, rate and what a log lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil, exp, log2
from typing import Any, NamedTuple

from clonewatch.campaigns.fusion import LINK_BITS

# What a log may lack, by the names of `lab.gaps`, and the columns of which one must be filled for it not to lack it.
GAPS: Mapping[str, tuple[str, ...]] = {
    "trusted": ("accounts.anchor",),
    "payment": ("accounts.payment_fingerprint",),
    "device": ("accounts.device_fingerprint",),
    "network": ("exchanges.client_ip", "accounts.signup_ip"),
    "client": ("exchanges.user_agent", "exchanges.sdk", "exchanges.tls_fingerprint"),
    "elicitation": ("exchanges.elicitation", "exchanges.messages"),
    "content": ("exchanges.template_id", "exchanges.prompt_id", "exchanges.cell", "exchanges.messages"),
}
# A campaign is called visible from this chance on.
USUAL = 0.8
_MOST_ACCOUNTS = 300  # of a campaign in the worlds that the model learned from


def features(accounts: float, per_day: float, without: Collection[str]) -> dict[str, float]:
    """What the model looks at, by name. accounts: of the campaign. per_day: requests per account and day.

    >>> features(64, 8, ["payment"])["accounts"], features(64, 8, ["payment"])["without payment"]
    (6.0, 1.0)
    """
    size, rate = log2(max(1.0, accounts)), log2(max(1 / 16, per_day))
    return {"constant": 1.0, "accounts": size, "per_day": rate} | {
        f"without {name}": float(name in without) for name in GAPS
    }


def lacking(columns: Collection[str]) -> tuple[str, ...]:
    """What a log with these columns lacks.

    >>> lacking({"exchanges.messages", "exchanges.client_ip", "exchanges.user_agent", "accounts.anchor"})
    ('payment', 'device')
    """
    return tuple(name for name, any_of in GAPS.items() if not set(any_of) & set(columns))


class Power(NamedTuple):
    """Coefficients of the two outcomes by feature, and what the model was made from."""

    flagged: Mapping[str, float]
    listed: Mapping[str, float]
    about: Mapping[str, Any]

    def chances(self, accounts: float, per_day: float, without: Collection[str]) -> tuple[float, float]:
        """The chances, 0..1, that a campaign is flagged, and that it is flagged or among the first five groups."""
        seen = features(accounts, per_day, without)
        flagged, listed = (
            1 / (1 + exp(-sum(model.get(name, 0.0) * value for name, value in seen.items())))
            for model in (self.flagged, self.listed)
        )
        # The two are fitted apart; whatever is flagged is listed.
        return flagged, max(flagged, listed)

    def smallest(self, per_day: float, without: Collection[str], outcome: str = "flagged") -> int | None:
        """The smallest number of accounts of a campaign that is usually found; None where even a large one is not."""
        which = ("flagged", "listed").index(outcome)
        for accounts in range(2, _MOST_ACCOUNTS + 1):
            if self.chances(accounts, per_day, without)[which] >= USUAL:
                return accounts
        return None


def least_ring(trusted_share: float) -> int | None:
    """The fewest accounts that one shared thing links well enough for a flag; None where nobody is trusted.

    trusted_share: trusted accounts, 0..1 of all. A thing that n accounts share and nobody who is trusted weighs at most
    n log2(1/(1 - share)) bits, however firm the tie. Accounts that share several kinds of things need fewer.

    >>> least_ring(0.2), least_ring(0.05), least_ring(0.0)
    (31, 135, None)
    """
    return ceil(LINK_BITS / -log2(1 - trusted_share)) if 0 < trusted_share < 1 else None
