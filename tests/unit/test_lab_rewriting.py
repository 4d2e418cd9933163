"""Rewording by rule: how much changes, what must not, and that it is always the same."""

import re

import pytest

from clonewatch.lab.text.rewriting import SYNONYMS, reword

PLAIN = (
    "Explain the main idea of the method in detail. Check the result before you answer the question. "
    "Write a short summary of the text and list three examples. Do not skip steps if the problem is difficult."
)
FORMATTED = (
    "Solve the problem.\n```python\ndef solve(problem):\n    return 'answer'\n```\n"
    'Put the answer into <answer></answer>. The word "problem" and `use_step` stay, and so do 42 and 3.5.\n'
    'Return {"answer": [1, 2], "steps": {"first": 1}} and see https://example.org/solve/problem'
)
PIECES = (
    "```python\ndef solve(problem):\n    return 'answer'\n```",
    "<answer></answer>",
    '"problem"',
    "`use_step`",
    "42",
    "3.5",
    '{"answer": [1, 2], "steps": {"first": 1}}',
    "https://example.org/solve/problem",
)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))


def test_nothing_changes_at_strength_zero() -> None:
    for text in (PLAIN, FORMATTED, "", "继续", "ok"):
        made = reword(text, 0.0)
        assert made.text == text
        assert made.changed == 0


def test_every_place_changes_at_full_strength_and_few_words_stay() -> None:
    made = reword(PLAIN, 1.0)
    assert made.changed == made.places > 10
    assert len(words(made.text) & words(PLAIN)) < 0.6 * len(words(PLAIN))


def test_the_share_of_changed_places_follows_the_strength() -> None:
    texts = [f"{PLAIN} Item {n}." for n in range(60)]
    for strength in (0.1, 0.5, 0.9):
        made = [reword(text, strength) for text in texts]
        share = sum(m.changed for m in made) / sum(m.places for m in made)
        assert abs(share - strength) < 0.05


def test_code_quotations_numbers_formats_and_links_stay_as_they_are() -> None:
    for seed in range(20):
        made = reword(FORMATTED, 1.0, seed).text
        assert all(piece in made for piece in PIECES)
        assert "Solve the problem." not in made


def test_the_same_text_and_seed_give_the_same_words_and_another_seed_gives_others() -> None:
    assert reword(PLAIN, 0.7, 3) == reword(PLAIN, 0.7, 3)
    assert len({reword(PLAIN, 0.7, seed).text for seed in range(20)}) > 15


def test_a_condition_at_the_end_can_come_first() -> None:
    texts = {reword("Stop the count if the number exceeds ten.", 1.0, seed).text for seed in range(10)}
    assert any(re.search(r"\bif the \w+ exceeds ten, ", text, re.IGNORECASE) for text in texts)


def test_an_order_can_become_passive_or_a_noun_or_a_polite_request() -> None:
    passive = {reword("Write the letter.", 1.0, seed).text for seed in range(10)}
    noun = {reword("Summarise the chapter.", 1.0, seed).text for seed in range(10)}
    polite = {reword("Write nothing here.", 1.0, seed).text for seed in range(10)}
    assert all(re.fullmatch(r"The letter \w+ (to )?be written\.|The letter is to be written\.", t) for t in passive)
    assert all("a summary of the chapter" in t for t in noun)
    assert any(t.startswith(("Please", "Kindly", "Could you please", "I would like you to")) for t in polite)


def test_the_article_follows_the_new_word() -> None:
    for seed in range(20):
        made = reword("He saw a response and an answer.", 1.0, seed).text
        assert not re.search(r"\ba [aeio]|\ban [^aeiou]", made)


def test_names_in_code_are_no_words() -> None:
    text = "result.value step_count fileName/answer #problem id,answer,result"
    assert reword(text, 1.0).text == text


def test_no_synonym_is_the_word_itself() -> None:
    assert len(SYNONYMS) >= 150
    assert not [word for word, others in SYNONYMS.items() if word in others or not all(others)]


def test_a_strength_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="strength"):
        reword(PLAIN, 1.5)
