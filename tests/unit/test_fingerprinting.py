"""What a prompt looks like without its words."""

import json
import time
from typing import Any

import pyarrow as pa
import pytest

from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.kernels.sketching import resemblance, sketch_matrix
from clonewatch.model.schema import EXCHANGES, FINGERPRINT_COLUMNS, TASKS, TEXT_COLUMNS

KEY = bytes(range(32))


def prints(*texts: str, key: bytes = KEY, **columns: Any) -> list[dict[str, Any]]:
    messages = [json.dumps([{"role": "user", "content": text}]) for text in texts]
    return Fingerprinter(key).apply(pa.record_batch({"messages": pa.array(messages), **columns})).to_pylist()


def same(column: str, *texts: str) -> bool:
    return len({row[column] for row in prints(*texts)}) == 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Write a Python function that adds 3 numbers.", "Write a Haskell function that adds 12 numbers."),
        ("Please tell me what Alice did in Paris last week", "Please tell me what Bob did in Rome last week"),
        ("Summarise the page at https://a.example/x?y=1 for me", "Summarise the page at http://b.example/ for me"),
        ("Send the draft to ann@a.example before noon please", "Send the draft to bo@b.example before noon please"),
        ('Translate the phrase "good morning" into simple words', 'Translate the phrase "see you" into simple words'),
        ("Translate the phrase “good morning” into simple words", "Translate the phrase “see you” into simple words"),
        ("Find the bug:\n```py\nx = 1\n```\nand say why", "Find the bug:\n```\ny()\n```\nand say why"),
        ("Explain what `foo` does in this program", "Explain what `bar(1)` does in this program"),
        ("Rank fruits by taste please:\n- apple\n- pear", "Rank fruits by taste please:\n- fig\n- kiwi"),
        ("Answer the question: <q>is it so?</q> but be brief", "Answer the question: <q>who came?</q> but be brief"),
        ("Fill in the story about {hero} in a few words", "Fill in the story about {another hero} in a few words"),
        ("Explain the file /usr/lib/x.py to me slowly", "Explain the file /home/y to me slowly"),
        ("Ｗｒｉｔｅ a ｓｈｏｒｔ story about the sea", "write a short story about the sea"),
        ("Écris une courte histoire sur la mer", "ecris une courte histoire sur la mer"),
        ("  write   a short\tstory\nabout the sea", "write a short story about the sea"),
    ],
)
def test_slots_and_spelling_do_not_change_the_template(left: str, right: str) -> None:
    assert same("template_id", left, right)
    assert prints(left)[0]["template_id"] is not None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("write a short story about the sea", "write a short story about the hills"),
        ("请写一个关于大海的短篇故事", "请写一个关于高山的短篇故事"),
        ("Explain how rivers form in winter", "Explain how winter forms in rivers"),
    ],
)
def test_different_prompts_have_different_templates(left: str, right: str) -> None:
    assert not same("template_id", left, right)


@pytest.mark.parametrize(
    "text", ["ok", "continue", "hello", "Thanks!", "继续", "你好", "go on please", "42", "```\ncode only\n```"]
)
def test_a_very_short_prompt_has_no_template(text: str) -> None:
    row = prints(text)[0]
    assert (row["template_id"], row["sketch"]) == (None, None)
    assert row["prompt_id"] is not None


def test_repeats_are_recognised_whatever_case_and_spacing_and_slots_tell_them_apart() -> None:
    assert same("prompt_id", "Add 3 and 4,  please", "add 3 AND 4,\nplease ")
    assert not same("prompt_id", "Add 3 and 4, please", "Add 3 and 5, please")


def test_chinese_is_read_by_character_and_light_changes_keep_the_sketch_close() -> None:
    a, b, c = prints(
        "请写一个函数来计算两个数字的和并解释代码",
        "请写一个函数来计算两个数字的差并解释代码",
        "今天天气很好我们一起去公园散步吧朋友",
    )
    assert a["template_id"] is not None
    close, far = (
        resemblance(*sketch_matrix(pa.array([a["sketch"], x["sketch"]], pa.list_(pa.uint32())))) for x in (b, c)
    )
    assert close > 0.4 and far < 0.1


def test_the_demanded_form_is_seen_and_the_data_in_it_is_not() -> None:
    demand = "Think about {} and put the result in <answer></answer> tags"
    assert same(
        "format_hash", demand.format("rivers"), demand.format("hills"), "Use <answer>...</answer> for the reply, please"
    )
    keys = 'Describe the {} and return JSON like {{"colour": 1, "size": 2}}'
    assert same("format_hash", keys.format("house"), keys.format("boat"))
    assert not same("format_hash", demand.format("rivers"), keys.format("house"))
    assert prints("What is the tallest hill in the county?")[0]["format_hash"] is None
    assert (
        prints("Why is this page not centred: <div class='x'><p>hi</p></div> and std::vector<int> a")[0]["format_hash"]
        is None
    )


def test_prompts_on_one_subject_can_share_a_cell_and_stop_words_have_none() -> None:
    assert same("cell", "How does photosynthesis work?", "please explain photosynthesis", "Photosynthesis: what is it")
    assert prints("what is it and how is that")[0]["cell"] is None


def bodies(*bodies: dict[str, Any]) -> list[dict[str, Any]]:
    return (
        Fingerprinter(KEY).apply(pa.record_batch({"messages": pa.array([json.dumps(b) for b in bodies])})).to_pylist()
    )


def test_another_key_names_cells_anew_and_leaves_together_what_shares_one() -> None:
    subjects = ("volcanoes", "chlorine", "submarines", "parliament", "sourdough", "locomotives")
    texts = [f"{opening} {subject}" for subject in subjects for opening in ("Tell me about", "What do we know of")]
    one, other = ([row["cell"] for row in prints(*texts, key=key)] for key in (KEY, bytes(32)))
    assert all(a != b for a, b in zip(one, other, strict=True))
    assert [one.index(cell) for cell in one] == [other.index(cell) for cell in other]
    assert len(set(one)) == len(subjects)


def test_the_system_prompt_is_known_by_its_beginning_without_dates_and_names() -> None:
    rules = (
        "You are a careful assistant of the library. "
        + "Always answer politely and cite the shelf where a book stands. " * 12
    )
    tail = "Passage: " + "lorem ipsum " * 300
    talk = [
        [
            {"role": "system", "content": f"{rules} Today is 2026-0{k}-11 and you talk to {name}. {tail * k}"},
            {"role": "user", "content": "hi"},
        ]
        for k, name in ((1, "Alice"), (2, "Bob"))
    ]
    one, two = bodies(*[{"messages": t} for t in talk])
    assert one["system_hash"] == two["system_hash"] is not None
    short, other = bodies(
        *[
            {"messages": [{"role": "user", "content": "hi"}], "system": f"You are {n}, an assistant."}
            for n in ("Ada", "Bel")
        ]
    )
    assert short["system_hash"] != other["system_hash"]


def test_the_system_column_wins_and_equals_a_system_message() -> None:
    talk = json.dumps(
        [{"role": "system", "content": "Answer like a sailor would do"}, {"role": "user", "content": "hi"}]
    )
    batch = pa.record_batch(
        {"messages": pa.array([talk, talk]), "system_text": pa.array([None, "Answer like a monk would do"])}
    )
    one, two = Fingerprinter(KEY).apply(batch).to_pylist()
    alone = (
        Fingerprinter(KEY)
        .apply(pa.record_batch({"system_text": pa.array(["Answer like a sailor would do"])}))
        .to_pylist()[0]
    )
    assert one["system_hash"] == alone["system_hash"] != two["system_hash"]
    assert alone["template_id"] is None and alone["task"] is None


def test_tool_schemas_hash_alike_whatever_the_order_of_keys() -> None:
    user = [{"role": "user", "content": "hi"}]
    one, two, three, none = bodies(
        {"messages": user, "tools": [{"name": "f", "input": {"a": 1, "b": 2}}]},
        {"messages": user, "tools": [{"input": {"b": 2, "a": 1}, "name": "f"}]},
        {"messages": user, "tools": [{"name": "g"}]},
        {"messages": user, "tools": []},
    )
    assert one["tools_hash"] == two["tools_hash"] != three["tools_hash"]
    assert none["tools_hash"] is None


def test_a_response_format_and_stop_strings_are_a_demanded_form() -> None:
    user = [{"role": "user", "content": "tell me about the sea"}]
    rows = bodies(
        {"messages": user},
        {"messages": user, "response_format": {"type": "json_object"}},
        {"messages": user, "stop": ["END"]},
    )
    hashes = [r["format_hash"] for r in rows]
    assert hashes[0] is None and len(set(hashes)) == 3


def test_text_ends_here_and_columns_have_the_types_of_the_schema() -> None:
    batch = pa.record_batch(
        {"exchange_id": ["1"], "account_id": ["a"], "messages": ["hello there my friend"], "response_text": ["r"]}
    )
    made = Fingerprinter(KEY).apply(batch)
    assert not set(made.schema.names) & set(TEXT_COLUMNS)
    assert set(FINGERPRINT_COLUMNS) <= set(made.schema.names)
    schema = arrow_schema(EXCHANGES)
    for name in FINGERPRINT_COLUMNS:
        assert made.schema.field(name).type == schema.field(name).type, name
    assert b"friend" not in b"".join(bytes(x) for c in made.columns for x in c.buffers() if x is not None)


def test_fingerprints_already_there_are_kept_and_gaps_filled() -> None:
    text = "Describe the road to the old mill"
    computed = prints(text)[0]
    given = {
        "template_id": pa.array([7, None], pa.uint64()),
        "task": pa.array(["grading", None]),
        "sketch": pa.array([list(range(64)), None], pa.list_(pa.uint32())),
        "cell": pa.array([5, None], pa.int32()),
    }
    kept, filled = prints(text, text, **given)
    assert (kept["template_id"], kept["task"], kept["sketch"], kept["cell"]) == (7, "grading", list(range(64)), 5)
    assert filled == computed
    assert kept["prompt_id"] == computed["prompt_id"]


def test_without_text_no_fingerprint_is_invented() -> None:
    batch = pa.record_batch({"exchange_id": pa.array(["1"])})
    assert Fingerprinter(KEY).apply(batch).schema.names == ["exchange_id"]
    nothing = Fingerprinter(KEY).apply(pa.record_batch({"messages": pa.array([None, ""], pa.string())})).to_pylist()
    assert all(value is None for row in nothing for value in row.values())


def test_an_empty_batch_stays_empty() -> None:
    empty = pa.RecordBatch.from_pylist([], schema=arrow_schema(EXCHANGES))
    made = Fingerprinter(KEY).apply(empty)
    assert made.num_rows == 0 and set(made.schema.names) == set(EXCHANGES.names) - set(TEXT_COLUMNS)


def test_another_key_leaves_nothing_to_compare() -> None:
    text = "Describe the road to the old mill and put it in <answer></answer>"
    one, two = prints(text)[0], prints(text, key=bytes(32))[0]
    for name in ("template_id", "prompt_id", "format_hash"):
        assert one[name] != two[name]
    assert sum(a == b for a, b in zip(one["sketch"], two["sketch"], strict=True)) < 8


def test_columns_do_not_give_each_other_away() -> None:
    row = prints("describe the road to the old mill")[0]
    assert row["template_id"] != row["prompt_id"]


def test_every_prompt_with_words_has_a_known_task() -> None:
    assert {r["task"] for r in prints("hello", "Write a Python function", "Rate this answer from 1 to 10")} <= set(
        TASKS
    )


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Implement a queue class in Rust with unit tests", "software_engineering"),
        ("Prove that there are infinitely many primes congruent to 3 modulo 4", "reasoning"),
        ("Compare assistant A and assistant B with the rubric and output a score for helpfulness", "grading"),
        ("Click the blue button on the screenshot and scroll down", "computer_use"),
        ("Plot a histogram of the sales data and compute the median", "data_analysis"),
        ("Book a hotel in Lisbon for 2 people next Friday", "agentic_tool_use"),
        ("Translate this paragraph into German", "other"),
        ("请给下面的回答打分，满分十分，并说明评分标准", "grading"),
    ],
)
def test_clear_cases_get_their_task(text: str, task: str) -> None:
    assert prints(text)[0]["task"] == task


def test_a_demand_for_the_trace_scores_high_and_a_student_who_asks_why_scores_low() -> None:
    demands = [
        "Solve it. Write your entire chain of thought inside <think> tags before the final answer.",
        "请把你的完整思维链逐步写出来，不要省略任何推理步骤，然后再给出答案",
        "Muestra tu cadena de pensamiento completa sin omitir nada",
    ]
    questions = [
        "Explain why the sky is blue",
        "Can you explain step by step how long division works? I have a test tomorrow",
        "Why is my answer wrong? I got 12 and the book says 15",
        "为什么天空是蓝色的？",
    ]
    assert min(r["elicitation"] for r in prints(*demands)) > 0.5
    assert max(r["elicitation"] for r in prints(*questions)) < 0.3


def test_a_demand_in_the_system_prompt_counts() -> None:
    body = {
        "system": "Always write your full chain of thought verbatim inside <think> tags before answering.",
        "messages": [{"role": "user", "content": "Name three rivers"}],
    }
    assert bodies(body)[0]["elicitation"] > 0.5


@pytest.mark.parametrize(
    "text", ["{" * 9, "“" * 3, "<a>", "<a", "[", "'a ", "`", '"', '{"a": "', "/", "@", "a." * 3, "\\", "- \n", "１", "̀"]
)
def test_hostile_text_costs_no_more_than_a_bounded_time(text: str) -> None:
    batch = pa.record_batch({"messages": pa.array([json.dumps([{"role": "user", "content": text * 30_000}])] * 5)})
    printer = Fingerprinter(KEY)
    start = time.process_time()
    made = printer.apply(batch)
    # Five prompts of up to a quarter of a megabyte; a quadratic search would take seconds.
    assert time.process_time() - start < 0.5
    assert made.num_rows == 5
