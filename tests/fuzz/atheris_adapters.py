"""Coverage-guided fuzzing of the text formats: `python tests/fuzz/atheris_adapters.py -atheris_runs=20000`.

Needs atheris (the extra `fuzz`). Ends with a message and status 3 when it is not installed, so that a missing fuzzer is
never taken for a passed run. Any exception but our own errors is a finding; atheris writes the input beside it.
"""

import importlib
import importlib.util
import io
import sys

RUNS = "-atheris_runs=20000"  # about a minute; given when the command line states no number
MISSING = 3


def one_input(data: bytes) -> None:
    """Read the bytes as every text format, packed and plain."""
    from clonewatch.adapters.mapping import check_map
    from clonewatch.adapters.reading import FORMATS
    from clonewatch.adapters.streams import Stream, Tally
    from clonewatch.model.errors import ClonewatchError
    from clonewatch.ports.adapter import Source

    for name in FORMATS.names():
        if "parquet" in name or "arrow" in name:
            continue
        mapping = None
        if name.endswith("_map"):
            fields = {
                "account_id": "a | user.id",
                "ts": {"path": "t.0", "minus": "d"},
                "prompt_id": "p",
                "client_ip": "ip",
                "messages": "m",
                "response_text": "r",
                "latency_ms": [{"path": "s", "scale": 1000}, "l"],
                "end_user_id": {"path": "u", "match": "u=(.+)"},
            }
            chosen = {"each": "e", "where": {"k": {"not": "x"}}}
            mapping = check_map({"format": name, "fields": fields} | chosen, "fuzz", FORMATS.names())
        stream = Stream(Tally(io.BytesIO(data), None))
        adapter = FORMATS.load(name)
        adapter.claims(stream.head(), "fuzz")
        try:
            for batch in adapter.read(Source("fuzz", stream), mapping):
                batch.exchanges.validate(full=True)
        except ClonewatchError:
            continue


def main() -> int:
    """Run the fuzzer on the command line's arguments."""
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed: nothing was fuzzed (pip install 'clonewatch[fuzz]')\n")
        return MISSING
    import atheris

    with atheris.instrument_imports(include=["clonewatch.adapters"]):
        importlib.import_module("clonewatch.adapters.reading")
    arguments = [*sys.argv]
    if not any(a.startswith(("-atheris_runs", "-runs")) for a in arguments):
        arguments.append(RUNS)
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
