"""What the figures of the evidence pages mean: one text a figure, which the page shows behind a question mark."""

from __future__ import annotations

DEFINED: dict[str, tuple[str, str]] = {
    "accounts": (
        "Accounts",
        "Member accounts of this group in the window of the scan, bystanders left out. An account is who is billed.",
    ),
    "exchanges": ("Exchanges", "All requests with their answers by the member accounts in the window of the scan."),
    "attributed": (
        "Attributed exchanges",
        "Exchanges of member accounts that were harvested for the campaign with a posterior of 0.5 or more. Always 0"
        " for a group that is not flagged.",
    ),
    "window": ("Window", "First and last moment of the log that the scan read, UTC. Nothing outside it was seen."),
    "level": (
        "Level",
        "Step of the evidence ladder: L0 anomaly, L1 linked, L2 coordinated evasion, L3 extraction pattern. L4 (who)"
        " and L5 (a model was trained) are never reached by this program.",
    ),
    "score": (
        "Score",
        "Families of behavioural tests added up, less what speaks against, in bits: a bit is a factor of two in"
        " surprise. Links are not in it. It is no probability.",
    ),
    "ratio": (
        "Threshold ratio",
        "The criterion with the least, divided by its threshold: 1 at the threshold, 0.4 is far from it. Zero or less"
        " where a criterion is not met at all.",
    ),
    "p_value": (
        "p-value",
        "Share of linked groups of honest logs that come as close to a flag. It cannot fall below 1/(n+1), so read it"
        " with its n.",
    ),
    "odds": (
        "Odds",
        "Posterior odds that one operator covertly runs these accounts, with prior odds of 1 to 16. They order groups"
        " and prove nothing about one.",
    ),
    "stability": (
        "Stability",
        "Mean overlap (Jaccard, 0 to 1) with the nearest group when accounts are clustered with other random seeds.",
    ),
    "membership": (
        "Membership",
        "How much of an account is harvest and how firmly it is tied, 0 to 1. Below 0.5 unless the group is flagged.",
    ),
    "role": (
        "Role",
        "core: its traffic belongs to the campaign through and through. fringe: tied less firmly, or mostly serves"
        " others. proxy customer: shares a route and little else; a likely bystander and no member.",
    ),
    "share": (
        "Attributed share",
        "Attributed exchanges of the account, divided by all its exchanges in the window. The rest may be honest use.",
    ),
    "shared": ("Shared", "How many of the group's strongest shared attributes (forty at most) the account carries."),
    "first": ("First exchange", "First exchange of the account in the window. It may have been there before."),
    "last": ("Last exchange", "Last exchange of the account in the window. It may go on after it."),
    "banned": ("Banned", "First ban of the account in the events file; empty where none is in it."),
    "bits": (
        "Bits",
        "Strength of evidence on a base-2 scale: one bit halves the probability that chance or an honest group shows as"
        " much. 3 bits are one in 8, 10 about one in 1,000.",
    ),
    "weight": (
        "Weight",
        "How surprising it is that so few trusted accounts carry the attribute, in bits. A popular thing has none.",
    ),
    "in_group": ("In the group", "Entities of the group that carry it: accounts of one declared owner count once."),
    "in_log": ("In the log", "Entities of the whole log that carry it."),
    "trusted": ("Trusted", "Trusted entities that carry it: accounts that you marked, or that behave like people."),
    "visible": (
        "Visible from",
        "When the campaign could first be seen: the hour at which a scan would first have flagged it, or, without that"
        " setting, when there was enough to test.",
    ),
    "leak": (
        "Leak",
        "Attributed exchanges added up from the first day on, members only. It counts answers, and is no damage.",
    ),
    "posterior": (
        "Posterior",
        "0 to 1, that this exchange was harvested for the campaign. Counted as attributed from 0.5 on.",
    ),
    "active": (
        "Active accounts",
        "Member accounts with their first exchange on or before the day and their last on or after it.",
    ),
    "starts": (
        "Starts and ends",
        "Accounts by the day of their first and of their last exchange in the window. On the first days every account"
        " starts and on the last days every account ends, because the log does.",
    ),
    "replaced": (
        "Replaced",
        "Accounts of the group that had their first exchange within 48 hours after the ban. Chance gives some: compare"
        " with what the same time usually brings.",
    ),
    "model": (
        "Model",
        "The model that answered, and how many exchanges (attributed ones, where there"
        " are any), by a keyed hash: names of models are not kept in a result. The same hash is the same"
        " model within one key.",
    ),
    "pivot": (
        "Pivot",
        "A day from which another model answers at least 60 % of the group's exchanges (of attributed ones, where there"
        " are any), after 40 % or less in the week before.",
    ),
    "overlap": ("Overlap", "Sum over tasks of the smaller of the two shares: 0 nothing alike, 1 the same mix."),
    "common_days": ("Days in common", "Days on which both groups had exchanges, of the days on which either had some."),
}
