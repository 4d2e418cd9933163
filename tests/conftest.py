"""What every test starts from."""

import signal

import pytest

# Files by the time they take, longest first. Processes that share the tests start with these, so that none of them is
# still at a long file when the others are done.
LONGEST = (
    "tests/path/test_spark.py",
    "tests/path/test_prototype_failures.py",
    "tests/path/test_crashes.py",
    "tests/path/test_state.py",
    "tests/path/test_bad_input.py",
    "tests/path/test_tutorial.py",
    "tests/path/test_audit_walk.py",
    "tests/hostile/test_hostile.py",
    "tests/path/test_state_columns.py",
    "tests/path/test_resume.py",
    "tests/path/test_audit_students.py",
    "tests/path/test_evidence_browser.py",
    "tests/path/test_faults.py",
    "tests/unit/test_lab_simulate.py",
    "tests/unit/test_console_attacks.py",
    "tests/path/test_live.py",
    "tests/path/test_cases.py",
    "tests/unit/test_console_cases.py",
    "tests/fuzz/test_fuzz_adapters.py",
    "tests/path/test_dossier.py",
    "tests/path/test_state_damage.py",
    "tests/unit/test_limits.py",
    "tests/path/test_scan_in_time.py",
    "tests/path/test_odd_ids.py",
    "tests/path/test_audit_kills.py",
    "tests/property/test_key_properties.py",
    "tests/path/test_console_browser.py",
    "tests/path/test_few_trusted.py",
    "tests/path/test_console_kills.py",
)

# A build started in the background by a shell inherits interrupts switched off, and so would every command that a test
# starts and then interrupts. With a handler of our own they start as they do for a person.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process that shares the tests with others, the longest files come first; elsewhere the order is kept."""
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(item.nodeid.split("::")[0], len(places)))
