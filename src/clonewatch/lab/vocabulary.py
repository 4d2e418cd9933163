"""The words behind the codes: models, channels, builds, countries; all names are invented or generic."""

from typing import NamedTuple

from clonewatch.model.schema import TASKS

CHANNELS = ("direct", "cloud", "aggregator", "console")
OPERATIONS = ("chat", "completion", "embedding", "batch")
STOPS = ("end_turn", "max_tokens", "tool_use", "stop_sequence", "refusal", "error")
EGRESS = ("residential", "hosting", "vpn", "proxy", "tor", "mobile", "education", "corporate")
DIRECT, CLOUD, AGGREGATOR, CONSOLE = range(4)
CHAT, COMPLETION, EMBEDDING, BATCH = range(4)
END, LENGTH, TOOL, SEQUENCE, REFUSAL, FAILED = range(6)
RESIDENTIAL, HOSTING, VPN, PROXY, TOR, MOBILE, EDUCATION, CORPORATE = range(8)
TASK = {name: code for code, name in enumerate(TASKS)}


class Model(NamedTuple):
    """A served model. verbosity: output length relative to the mid model. reasoning: hidden share of its output.

    The share .81 of a reasoning model is the median measured on a public trace (ServeGen, deepseek-r1 tenants).
    """

    name: str
    verbosity: float
    reasoning: float
    speed_ms: float


MODELS = (
    Model("lumen-small-3", 0.8, 0.0, 5.0),
    Model("lumen-mid-3", 1.0, 0.0, 11.0),
    Model("lumen-large-3", 1.15, 0.0, 18.0),
    Model("lumen-reason-1", 1.6, 0.81, 14.0),
    Model("lumen-large-4", 1.25, 0.35, 16.0),
)
SMALL, MID, LARGE, REASON, NEW = range(5)


class Country(NamedTuple):
    """Where people live: ISO code, hours from UTC, share of sign-ups, dialling prefix."""

    code: str
    zone: float
    share: float
    prefix: str


COUNTRIES = (
    Country("US", -6, 0.26, "+1"),
    Country("GB", 0, 0.06, "+44"),
    Country("DE", 1, 0.06, "+49"),
    Country("FR", 1, 0.04, "+33"),
    Country("IN", 5.5, 0.12, "+91"),
    Country("BR", -3, 0.06, "+55"),
    Country("JP", 9, 0.06, "+81"),
    Country("KR", 9, 0.04, "+82"),
    Country("SG", 8, 0.04, "+65"),
    Country("ID", 7, 0.04, "+62"),
    Country("CA", -5, 0.04, "+1"),
    Country("AU", 10, 0.03, "+61"),
    Country("NL", 1, 0.03, "+31"),
    Country("PL", 1, 0.03, "+48"),
    Country("VN", 7, 0.03, "+84"),
    Country("TW", 8, 0.02, "+886"),
    Country("TR", 3, 0.02, "+90"),
    Country("NG", 1, 0.02, "+234"),
)

MAIL = ("gmail.com", "outlook.com", "icloud.com", "yahoo.com", "proton.me", "hotmail.com", "qq.com", "gmx.net")
MAIL_SHARE = (0.52, 0.16, 0.08, 0.07, 0.05, 0.05, 0.04, 0.03)
MAIL_SHAPES = ("first.last", "firstlast", "nick", "nick99", "initial.last", "word-word", "first", "random")
MAIL_SHAPE_SHARE = (0.24, 0.18, 0.19, 0.2, 0.08, 0.04, 0.05, 0.02)
THROWAWAY_MAIL = ("mailbox-now.example", "tempbox.example", "fastinbox.example", "inboxly.example", "zipmail.example")
ISSUERS = ("bank-credit", "bank-debit", "neobank", "prepaid-issuer", "virtual-issuer", "corporate-card")
