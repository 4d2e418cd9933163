"""One prompt template that several accounts with no declared common owner fill with different contents."""

from clonewatch.links.columns import of_exchanges
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

SIGNAL = LinkingSignal(
    Signal(
        "template",
        "link",
        Card(
            title="Shared prompt template",
            family="content",
            catches="one curriculum dealt out to many accounts",
            misses="full paraphrase of every prompt",
            innocent="a popular prompt library, homework, a benchmark",
            excluded_by="trusted accounts use the same template",
        ),
        needs=(("exchanges.template_id",), ("exchanges.messages",)),
        suggests=(("class_or_event", 0.4), ("app_users", 0.3), ("benchmark_or_monitor", 0.3)),
    ),
    of_exchanges("x.template"),
    reads=("exchanges", "owners"),
    column="template",
    content=True,
    app=True,
)
