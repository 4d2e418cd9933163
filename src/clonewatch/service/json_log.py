"""What services log: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time

_OWN = frozenset(logging.makeLogRecord({}).__dict__)


class JsonLines(logging.Formatter):
    """One object a line: when, how bad, where from, what, and figures. Nothing of a request is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON."""
        at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
        told = {"at": at, "level": record.levelname.lower(), "from": record.name, "event": record.getMessage()}
        more = {name: value for name, value in record.__dict__.items() if name not in _OWN | {"message", "taskName"}}
        if record.exc_info and record.exc_info[0]:
            told["error"] = record.exc_info[0].__name__
        return json.dumps(told | more, default=str)


def log_as_json() -> None:
    """Let everything that is logged go to standard error, as one object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
