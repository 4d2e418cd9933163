"""What holds for every text."""

import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.chat import read_chats
from clonewatch.kernels.hashing import keyed_hash

PRINTER = Fingerprinter(bytes(32))
SPICE = st.sampled_from(
    [*"<>{}[]\"'`/\\:@.,!?-*#$=^ \n\t", "```", "<a>", "</a>", "://", "。", "你", "é", "٣", "\ufeff", "\U0001f600"]
)
TEXTS = st.lists(
    st.one_of(st.text(max_size=12), SPICE, st.sampled_from(["word", "Name", "x1", "the"])), max_size=60
).map("".join)
CHATS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant"]), "content": TEXTS}), max_size=4
)


@settings(max_examples=150, deadline=None)
@given(CHATS, st.booleans())
def test_the_scanner_finds_what_a_json_parser_finds(chat: list[dict[str, str]], ascii_only: bool) -> None:
    said = [m["content"] for m in chat if m["role"] == "user"]
    ruled = [m["content"] for m in chat if m["role"] == "system"]
    found = read_chats(text_buffers(pa.array([json.dumps(chat, ensure_ascii=ascii_only)])))
    assert (found.user.bytes_at(0).decode() if found.user.valid[0] else None) == (said[-1] if said else None)
    assert (found.system.bytes_at(0).decode() if found.system.valid[0] else None) == (ruled[0] if ruled else None)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.none(), TEXTS, CHATS.map(json.dumps), CHATS.map(lambda c: json.dumps(c)[:-5])), max_size=8),
    st.data(),
)
def test_rows_do_not_influence_each_other(rows: list[str | None], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    whole = PRINTER.apply(pa.record_batch({"messages": pa.array(rows, pa.string())})).to_pylist()
    shuffled = PRINTER.apply(pa.record_batch({"messages": pa.array([rows[k] for k in order], pa.string())})).to_pylist()
    assert [json.dumps(whole[k]) for k in order] == [json.dumps(row) for row in shuffled]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=6))
def test_bytes_that_are_not_text_cause_no_error(rows: list[bytes]) -> None:
    made = PRINTER.apply(pa.record_batch({"messages": pa.array(rows, pa.binary())}))
    assert made.num_rows == len(rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=20), st.binary(min_size=16, max_size=16))
def test_only_equal_values_have_equal_hashes(values: list[str | None], key: bytes) -> None:
    hashes = keyed_hash(pa.array(values, pa.string()), key).tolist()
    assert len(set(hashes)) == len(set(values))
    assert all((h == 0) == (v is None) for h, v in zip(hashes, values, strict=True))
