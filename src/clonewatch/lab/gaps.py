"""What a log may lack: groups of columns that a provider does not keep, by name."""

from collections.abc import Mapping, Sequence

from clonewatch.model.errors import SetupError
from clonewatch.model.schema import FINGERPRINT_COLUMNS

# Columns of exchanges and accounts that each name leaves out; "events" leaves the events table empty.
GAPS: Mapping[str, tuple[str, ...]] = {
    "trusted": ("anchor",),
    "payment": ("payment_fingerprint", "payment_class", "issuer_class", "billing_country"),
    "device": ("device_fingerprint",),
    "addresses": ("client_ip", "signup_ip"),
    "network": ("client_ip", "signup_ip", "asn", "country", "egress"),
    "client": ("user_agent", "sdk", "tls_fingerprint"),
    "template": ("template_id",),
    "prompt": ("prompt_id",),
    "cell": ("cell", "task"),
    "elicitation": ("elicitation",),
    "content": (*FINGERPRINT_COLUMNS, "sketch", "system_text", "messages", "response_text"),
    "events": (),
}


def left_out(names: Sequence[str]) -> frozenset[str]:
    """The columns that a log without these lacks. Raises SetupError for an unknown name.

    >>> sorted(left_out(["device", "prompt"]))
    ['device_fingerprint', 'prompt_id']
    """
    for name in names:
        if name not in GAPS:
            raise SetupError(f"a log cannot be without {name!r}", fix=f"Choose among: {', '.join(GAPS)}.")
    return frozenset(column for name in names for column in GAPS[name])
