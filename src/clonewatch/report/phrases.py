"""The fixed words of a report: the ladder of levels, strengths, roles and families, each with its meaning.

Words name conduct (concealed common control, systematic collection) and never a motive, a company or a crime.
"""

from typing import NamedTuple

from clonewatch.report.numerals import amount, visible


class Level(NamedTuple):
    """A rung of the evidence ladder: its name, what it says, what it does not say, and what would lower it."""

    code: str
    name: str
    says: str
    not_said: str
    lowered_by: str


LADDER = (
    Level(
        "L0",
        "anomaly",
        "One signal stands out. Nothing independent supports it.",
        "It does not say that the accounts belong together.",
        "There is nothing to lower: a single signal is not a finding.",
    ),
    Level(
        "L1",
        "linked activity",
        "Accounts with no declared common owner share rare things that trusted accounts hardly ever have.",
        "It does not say what the accounts were used for, nor that anything was concealed.",
        "Trusted accounts found to share the same things, or a declared common owner.",
    ),
    Level(
        "L2",
        "coordinated evasion",
        "Independent families of evidence say that one operator runs these accounts, and the common control was not "
        "declared.",
        "It does not say that answers were collected for any purpose.",
        "A contract, a reseller or one organisation that explains the common control; or only one family of evidence "
        "left after an innocent explanation is accepted.",
    ),
    Level(
        "L3",
        "extraction pattern",
        "Beyond coordinated evasion, the requests look like systematic collection: focused, structured and divided "
        "among the accounts.",
        "It does not say who the operator of the campaign is, nor what became of the answers.",
        "One tested innocent explanation shown to hold after all; a contract that permits this use; or requests shown "
        "to come from many independent people.",
    ),
)
UNRANKED = Level("-", "not ranked", "No level was recorded for this group.", "Nothing is claimed.", "Nothing.")
NEVER_SAID = (
    "No level names a company or a person. Linking a group to an organisation (L4) or to the training of a model (L5) "
    "needs facts from outside the log and the judgement of people; Clonewatch never does it."
)


class Role(NamedTuple):
    """A role in words: its name and what it means."""

    name: str
    means: str


_LESS_CERTAIN = "it carries only part of the links, or clusterings with other seeds leave it out: less certain"
# In a flagged group's company, but not said to act for its operator.
BYSTANDER = "proxy_customer"
# By the names in the tables, in the order in which they are shown.
ROLES = {
    "core": Role("core", "its traffic belongs to the campaign through and through"),
    "fringe": Role("fringe", _LESS_CERTAIN),
    BYSTANDER: Role("proxy customer", "it shares the route but hardly any attributed traffic: likely a bystander"),
}
# Of a group that is not flagged nobody is said to act for anybody.
LINKED_ROLES = {
    "core": Role("linked", "it shares the rare things that link the group, which says nothing about its traffic"),
    "fringe": Role("loosely linked", _LESS_CERTAIN),
    BYSTANDER: Role("proxy customer", "it shares the route and little else: likely a bystander"),
}
UNKNOWN_ROLE = Role("role not recorded", "")


def role(name: str | None, flagged: bool) -> Role:
    """A role of the tables in words that hold for the group: of one that is not flagged they claim less.

    >>> role("core", flagged=True).name, role("core", flagged=False).name, role("<b>", flagged=True).name
    ('core', 'linked', '<b>')
    """
    known = ROLES if flagged else LINKED_ROLES
    return UNKNOWN_ROLE if name is None else known.get(name, Role(plain(name), ""))


def accounts_of(number: float | None) -> str:
    """So many accounts that nobody declared to belong together.

    >>> accounts_of(18)
    '18 accounts with no declared common owner'
    """
    return amount(number, "account with no declared common owner", "accounts with no declared common owner")


TASKS = {
    "software_engineering": "software engineering",
    "agentic_tool_use": "agentic tool use",
    "reasoning": "reasoning",
    "data_analysis": "data analysis",
    "computer_use": "computer use",
    "grading": "grading of answers",
    "sensitive_rewrite": "rewriting of sensitive questions",
    "chat": "conversation",
    "other": "other tasks",
    "unknown": "task not known",
}

# Evidence in bits: each bit makes it half as likely among honest groups. 3 bits are one in 8, 7 one in 128, 13 one in
# 8,192.
STRENGTHS = ((13.0, "very strong"), (7.0, "strong"), (3.0, "moderate"), (0.0, "weak"))
# The bar beside a piece of evidence is full at this many bits; stronger evidence shows as full too.
FULL_BAR = 26.0


def level(code: str | None) -> Level:
    """The rung for a code such as "L2"; longer codes count by their first two letters."""
    return next((rung for rung in LADDER if code and code[:2] == rung.code), UNRANKED)


def strength(bits: float | None) -> str:
    """How strong a piece of evidence is, in words.

    >>> strength(9.2), strength(-4.0), strength(None)
    ('strong', 'moderate', 'not measured')
    """
    if bits is None or bits != bits:
        return "not measured"
    return next(word for floor, word in STRENGTHS if abs(bits) >= floor)


def task(name: str | None) -> str:
    """A task in the reader's words; a label this version does not know counts as another task.

    >>> task("grading"), task("<b>"), task(None)
    ('grading of answers', 'other tasks', 'task not known')
    """
    return TASKS["unknown"] if name is None else TASKS.get(name, TASKS["other"])


def signal(name: str | None) -> str:
    """A signal as a heading, for those without a card.

    >>> signal("night_rest")
    'Night rest'
    """
    return plain(name).capitalize()


def thing(attribute: str | None, signal: str | None) -> str:
    """A shared attribute by its keyed hash, or by a number where it is an ego network, an hour or a work list.

    >>> thing("work_list-3", "work_list"), thing("0a1b2c", "payment")
    ('no. 3', '0a1b2c')
    """
    name = visible(attribute, 22)
    own = f"{signal}-"
    return f"no. {name.removeprefix(own)}" if name.startswith(own) else name


def plain(name: str | None) -> str:
    """A module, family or stage name as words.

    >>> plain("work_partition")
    'work partition'
    """
    return visible(name).replace("_", " ")
