"""The questions that settle a group for review: what yes and no mean, and by how much each moves the odds."""

from typing import NamedTuple


class Question(NamedTuple):
    """One question about a group of accounts, which whoever runs the service can answer from its own records.

    asks: the question in a sentence. yes, no: what each answer means. yes_bits, no_bits: by how many bits it moves the
    odds that the group is one covert operator: how much likelier that answer is of a covert group than of an honest
    one, log2. shape_bits: by how many the mere resemblance moves them, before anybody was asked. why: the reason for
    the bits of the answers. Which signals point at it is declared in the file of each signal (`Signal.suggests`).
    """

    id: str
    asks: str
    yes: str
    no: str
    yes_bits: float
    no_bits: float
    shape_bits: float
    why: str


# A "no" is weak everywhere: it rules out one innocent explanation of several. Where the evidence points at it, about
# half of the honest groups have it, so half of them answer no too, and a covert group nearly always: one bit.
_NO = 1.0
# Most honest groups that are linked at all came together for an occasion, and hardly any campaign looks like one: on
# half of the development logs the ratio was beyond eight to one. More is not believed of other services.
_MUCH_ALIKE = -3.0
# An honest twin that is named in the evidence, and of which those logs hold too few to measure: four to one.
_RESEMBLES = -2.0

QUESTIONS: tuple[Question, ...] = (
    Question(
        "one_customer",
        "Are these accounts one customer of yours: one contract, office, agency or reseller?",
        "They are run in common, and you know by whom: nothing is concealed. Declare the organisation in the accounts"
        " file.",
        "Nobody you know runs them in common.",
        -12.0,
        _NO,
        _RESEMBLES,
        "A contract names its accounts, and what they do is then a matter of the contract. An operator who signs for"
        " all of them under its own name is not covert: taken as one case in 4,000.",
    ),
    Question(
        "class_or_event",
        "Do these accounts belong to one class, course, hackathon, contest or advertising campaign?",
        "They are different people who came for one occasion and do what it asks.",
        "No occasion is known that brought them.",
        -8.0,
        _NO,
        _MUCH_ALIKE,
        "An occasion is easy to check by its date, its place and its organiser; one operator in 250 is taken to hide"
        " in one.",
    ),
    Question(
        "wrongly_banned",
        "Were accounts of these customers banned by mistake, and have they come back?",
        "The same customers returned after a ban that was not their fault.",
        "The bans stand, or there were none.",
        -6.0,
        _NO,
        _RESEMBLES,
        "Appeals are on record, but an operator appeals as well: one in 64 is taken to get through.",
    ),
    Question(
        "app_users",
        "Are these the users of one app, tool or agent that you know?",
        "The shared prompts and client come from the app; its users are different people.",
        "You know of no app that sends this.",
        -5.0,
        _NO,
        0.0,
        "An operator can copy an app's prompts and hide among its users: one in 32 is taken to do so.",
    ),
    Question(
        "public_network",
        "Is the network that they share open to the public: a carrier, a campus, a relay or a commercial VPN?",
        "Sharing the network says nothing about who they are.",
        "The network is private, or rented by few.",
        -3.0,
        _NO,
        0.0,
        "It removes one link. Operators use public networks too, at least one in eight of them.",
    ),
    Question(
        "benchmark_or_monitor",
        "Is this one benchmark, monitor or test suite that several parties run?",
        "The questions are public or scheduled; nobody collects the answers of all accounts together.",
        "You know of no such suite.",
        -6.0,
        _NO,
        0.0,
        "Suites are published and can be compared with the prompts; one operator in 64 is taken to work a published"
        " one.",
    ),
    Question(
        "colleagues",
        "Are these colleagues in one organisation that has not declared itself?",
        "Each has an account of their own, and one employer. Declare the organisation in the accounts file.",
        "No employer is known that they share.",
        -8.0,
        _NO,
        _RESEMBLES,
        "An employer can be asked and can name them. One operator in 250 is taken to answer for one.",
    ),
)
BY_ID = {question.id: question for question in QUESTIONS}


def asks(question: str | None) -> str:
    """The question of this id in a sentence; empty for none, or one that this version does not know.

    >>> asks("public_network")[:34]
    'Is the network that they share ope'
    """
    return BY_ID[question].asks if question in BY_ID else ""
