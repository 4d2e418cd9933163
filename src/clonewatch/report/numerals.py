"""Numbers, dates and foreign strings as a reader sees them: one spelling each, and none that can disturb the page."""

import math
import unicodedata
from datetime import UTC, datetime

UNKNOWN = "not known"
# Longer strings are cut in the middle: both ends of an identifier help a person find it again.
LONGEST = 60
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
_KEPT = "\n\t\u200c\u200d"


def count(value: float | None) -> str:
    """A whole number with thousands separated, or that it is not known.

    >>> count(28800000), count(None)
    ('28,800,000', 'not known')
    """
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:,.0f}"


def number(value: float | None, places: int = 2) -> str:
    """A measured value, short, without false precision.

    >>> number(0.012345), number(1234.5), number(2.0), number(None), number(float("inf"))
    ('0.012', '1,234', '2', 'not known', 'without bound')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "without bound" if value > 0 else "without bound (negative)"
    if value == 0:
        return "0"
    if abs(value) < 1:
        return f"{value:.{places}g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{places}f}".rstrip("0").rstrip(".")


def share(part: float | None, whole: float | None) -> str:
    """Part of a whole in percent, or that it is not known.

    >>> share(1, 8), share(1, 100000), share(0, 5), share(3, 0), share(999999, 1000000)
    ('12.5 %', 'under 0.1 %', '0 %', 'not known', 'over 99.9 %')
    """
    if part is None or not whole:
        return UNKNOWN
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1 %"
    if 99.9 < percent < 100:
        return "over 99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


def amount(value: float | None, noun: str, plural: str = "") -> str:
    """A count with its noun.

    >>> amount(1, "account"), amount(2000, "account"), amount(3, "entity", "entities")
    ('1 account', '2,000 accounts', '3 entities')
    """
    return f"{count(value)} {noun if value == 1 else plural or noun + 's'}"


def size(octets: float | None) -> str:
    """Bytes in the unit a person would use.

    >>> size(999), size(12_345_678)
    ('999 bytes', '12.3 MB')
    """
    if octets is None:
        return UNKNOWN
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if octets >= limit:
            return f"{octets / limit:.1f} {unit}"
    return f"{octets:.0f} bytes"


def instant(value: object) -> datetime | None:
    """A moment in UTC from a datetime or an ISO string; None when it is neither."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def day(value: object) -> str:
    """A day in UTC.

    >>> day("2026-04-22T10:00:00Z"), day(None)
    ('22 April 2026', 'not known')
    """
    moment = instant(value)
    return UNKNOWN if moment is None else f"{moment.day} {moment:%B %Y}"


def minute(value: object) -> str:
    """A moment in UTC to the minute.

    >>> minute("2026-04-22T10:07:31Z")
    '22 April 2026, 10:07 UTC'
    """
    moment = instant(value)
    return UNKNOWN if moment is None else f"{day(moment)}, {moment:%H:%M} UTC"


def visible(value: object, longest: int = LONGEST) -> str:
    r"""A foreign string made harmless to read: hidden and direction marks spelled out, cut in the middle.

    Account names come from the log, so an attacker writes them. Markup is left to the template's escaping.

    >>> visible("user\u202e42"), visible("a" * 100, 11), visible(None)
    ('user\\u202e42', 'aaaaaa...aaaa (100 characters)', 'not known')
    """
    if value is None:
        return UNKNOWN
    text = str(value)
    cut = len(text) > longest
    pieces = (text[: longest // 2 + 1], text[len(text) - (longest // 2 - 1) :]) if cut else (text,)
    shown = "...".join("".join(_spelled(c) for c in piece) for piece in pieces)
    return f"{shown} ({len(text):,} characters)" if cut else shown


def written(text: str) -> str:
    r"""A text that somebody wrote, whole: lines stay, and so do the joiners that scripts and emoji need.

    >>> written("two\r\nlines\u202e")
    'two\nlines\\u202e'
    """
    return "".join(c if c in _KEPT else _spelled(c) for c in text.replace("\r\n", "\n"))


def short(value: object, longest: int = 14) -> str:
    """A foreign string where there is little room: like `visible`, without saying how long it was.

    >>> short("0a1b2c3d4e5f6071829304", 12)
    '0a1b2c3...29304'
    """
    return visible(value, longest).partition(" (")[0]


def sentence(value: object) -> str:
    """A foreign sentence, made harmless, with a capital and a full stop.

    >>> sentence("a campus, an office")
    'A campus, an office.'
    """
    said = visible(value, 600).strip()
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?", ")")) else ".")


def _spelled(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
