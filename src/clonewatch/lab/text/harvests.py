"""How a harvest writes: generic exercise questions in wording families, with a demand for reasoning and a format."""

from clonewatch.lab.text.casual import casual, slots, topic
from clonewatch.lab.text.dice import Dice
from clonewatch.lab.text.word_lists import ADJECTIVES, THINGS

_OPENINGS = (
    "Solve the following problem.",
    "You will be given an exercise.",
    "Work on this task carefully.",
    "Here is a question.",
    "Complete the task below.",
    "Answer the question that follows.",
    "Consider the exercise below.",
    "The following item is part of a set.",
    "Please handle this item.",
    "Read the problem and respond.",
    "Your job is the task described next.",
    "Take the question below.",
)
_REASONING = (
    "Think step by step and write out your full reasoning before the answer.",
    "Show every step of your reasoning.",
    "Explain your reasoning in detail, then conclude.",
    "Before answering, reason at length about the problem.",
    "Write down your thought process completely.",
    "Give a thorough chain of reasoning first.",
    "Lay out each intermediate step.",
    "Reason aloud and check your steps.",
    "Detail how you arrive at the result.",
)
_QUALITY = (
    "Be precise.",
    "Do not skip steps.",
    "Check the result at the end.",
    "Be complete and self-contained.",
    "Avoid filler.",
    "Use clear language.",
    "Assume an expert reader.",
    "Write as for a textbook.",
    "Keep a formal tone.",
    "State assumptions.",
    "Consider alternatives.",
    "Verify edge cases.",
)
_FORMATS = (
    "Put the reasoning inside <reasoning></reasoning> and the result inside <answer></answer>.",
    'Return JSON with the keys "steps" and "final".',
    "Use the headings ### Analysis and ### Answer.",
    "Wrap your work in <work></work> and finish with <final></final>.",
    'Output {{"trace": [...], "result": ...}} and nothing else.',
)
_SCENES = (
    "A {thing} in {place} handles {n} units an hour and a {thing2} handles {m}.",
    "The {thing} records of {place} have {n} rows and {m} columns.",
    "There are {n} {thing}s, of which {m} are {adj}.",
    "{name} claims that a {adj} {thing} with parameter {n} is enough.",
    "A {adj} {thing} runs under a limit of {n} and a load of {m}.",
    "A table with {n} rows has a {thing} column and a {thing2} column.",
    "An agent must migrate the {thing} to the {thing2} in {place} in at most {m} calls.",
    "Let {n} be the size of a {adj} {thing}.",
    "{name} and {name2} share a {thing} that costs {n} a month.",
    "A service stores {n} {thing}s and loses {m} of them a day.",
    "Two {thing}s start {m} km apart and meet after {n} minutes.",
    "The function {thing}_{m} returns wrong totals for {n} inputs.",
    "In {place}, {m} of {n} visitors use the {adj} {thing}.",
    "A schema links {thing} to {thing2} through {n} keys.",
)
_ASKS = {
    "software_engineering": (
        "Write a Python function that reports {topic}.",
        "Implement a fix in the code and discuss {topic}.",
        "Refactor the module with {topic} in mind and add unit tests.",
        "Find the bug in the code and explain {topic}.",
    ),
    "agentic_tool_use": (
        "Plan the tool calls, covering {topic}.",
        "Use the tools search, read_file and run, and settle {topic}.",
        "Carry out the task with the given functions and report {topic}.",
    ),
    "reasoning": (
        "Find the number of ways to choose {m2} with respect to {topic}.",
        "Prove or refute that {topic} follows.",
        "Derive a bound in terms of {topic}.",
        "Compute the time for {n2} units and decide on {topic}.",
    ),
    "data_analysis": (
        "Describe how to detect {m2} faulty entries in the table by {topic}.",
        "Compute mean and variance of the column by group.",
        "Estimate {topic} from the data with an error below {m2} percent.",
        "Write the SQL query that ranks {topic}.",
    ),
    "": (
        "Which conclusion on {topic} holds, and why?",
        "State the three main points about {topic}.",
        "Compare two approaches to {topic}.",
    ),
}
_KIND = {"software_engineering": "code", "agentic_tool_use": "code", "data_analysis": "data", "reasoning": "homework"}
# How a wording family marks the question.
_HOLDERS = (
    "{item}",
    "{item}",
    '"{item}"',
    "```\n{item}\n```",
    "<item>{item}</item>",
)
_POLITE = (
    "please",
    "kindly",
    "I would like you to",
    "could you",
    "try to",
    "now",
    "your turn:",
    "we need you to",
    "go ahead and",
    "for this one,",
    "next,",
    "as before,",
    "take a moment and",
    "if possible,",
)
_ACTS = (
    "work out",
    "determine",
    "settle",
    "establish",
    "figure out",
    "sort out",
    "resolve",
    "deal with",
    "address",
    "tackle",
    "handle",
    "go through",
    "analyse",
    "look at",
    "unpack",
    "investigate",
)
_CASES = (
    "the case of",
    "a situation about",
    "what happens with",
    "this matter of",
    "an example on",
    "a puzzle about",
    "the issue of",
)
_WHY = (
    "I want to see how you get there",
    "walk me through your thinking",
    "spell out the logic",
    "do not hide the intermediate work",
    "say why at each point",
    "let me follow the argument",
    "narrate your reasoning",
    "give the derivation, not only the result",
    "start from what is known and build up",
    "write what you consider and discard",
)
_ASIDES = (
    "{name} will read it",
    "it is item {n}",
    "the {thing} team asked",
    "this came from {place}",
    "mind the {adj} parts",
    "the earlier one about the {thing} was fine",
    "think of a {adj} {thing}",
    "we meet about it on the {m}th",
    "no rush",
)
_GRADES = (
    "Score both answers from 1 to 10 for correctness and clarity. Output JSON with keys a, b and reason.",
    "Act as a strict grader. Use the rubric: accuracy 5, completeness 3, style 2. Return the total for each answer.",
    "Which answer is better? Reply with A or B and a one-line justification.",
)
_REWRITES = (
    "Rewrite the question so that it is neutral and acceptable to a general audience.",
    "Rephrase the text below in milder words and keep its meaning.",
    "Give an even-handed version of the passage.",
)
_TIDY = (
    "Below is a draft solution. Clean it up: remove repetitions, keep all steps, number them.",
    "Tidy this worked solution for a training set and keep the order of steps.",
)


def harvest_message(template: int, prompt: int, cell: int, elicits: bool, form: int, task: str = "") -> str:
    """One question of the list. form: hash of the forced format, 0 for none."""
    frame, dice = Dice(template), Dice(prompt)
    parts = [frame.pick(_OPENINGS)]
    if elicits:
        parts.append(frame.pick(_REASONING))
    parts += [frame.pick(_QUALITY) for _ in range(1 + frame.roll(5))]
    if frame.chance(50):
        parts.append(f"Style: {frame.pick(ADJECTIVES)} {frame.pick(THINGS)}.")
    if form:
        parts.append(Dice(form).pick(_FORMATS).replace("{{", "{").replace("}}", "}"))
    if frame.chance(30):
        parts = [parts[0], *parts[:0:-1]]
    label = frame.pick(("Problem:", "Task:", "Question:", "###", "Input:", "Exercise:"))
    item = frame.pick(_HOLDERS).format(item=item_text(dice, cell, task))
    head = " ".join(parts)
    return f"{item}\n\n{head}" if frame.chance(25) else f"{head}\n\n{label} {item}"


def item_text(dice: Dice, cell: int, task: str = "") -> str:
    """A generated exercise on a topic."""
    said = f"{dice.pick(_SCENES)} {dice.pick(_ASKS.get(task, _ASKS['']))}"
    return said.format(m2=2 + dice.roll(7), **slots(dice, cell, _KIND.get(task, "")))


def reworded_message(template: int, prompt: int, cell: int, elicits: bool, form: int, task: str = "") -> str:
    """A question of the list in free wording: nothing of a family's frame remains."""
    free, dice = Dice(template), Dice(prompt)
    parts = [
        f"{free.pick(_POLITE)} {free.pick(_ACTS)} {free.pick(_CASES)} {topic(cell, _KIND.get(task, ''))}",
        item_text(dice, cell, task).rstrip("."),
    ]
    if elicits:
        parts.append(free.pick(_WHY))
    parts += [free.pick(_ASIDES).format(**slots(free, cell)) for _ in range(free.roll(3))]
    if form:
        parts.append(
            free.pick(("mark", "enclose", "set off", "separate"))
            + f" the end result as {free.pick(THINGS)}_{form % 90}"
        )
    for place in range(len(parts) - 1, 0, -1):  # shuffled
        other = free.roll(place + 1)
        parts[place], parts[other] = parts[other], parts[place]
    joint = free.pick((". ", "; ", ", ", "\n", " - "))
    said = joint.join(parts)
    return said[0].upper() + said[1:] + free.pick((".", "", "?", ""))


def grade_message(template: int, prompt: int, cell: int) -> str:
    """A question with two answers to be graded."""
    frame, dice = Dice(template), Dice(prompt)
    answers = [casual(prompt ^ salt, prompt + salt, cell) for salt in (3, 9)]
    order = f"{frame.pick(_OPENINGS)} {frame.pick(_GRADES)} {frame.pick(_QUALITY)}"
    return f"{order}\n\nQuestion: {item_text(dice, cell)}\nAnswer A: {answers[0]}\nAnswer B: {answers[1]}"


def rewrite_message(template: int, prompt: int, cell: int) -> str:
    """A text to be rewritten in milder words."""
    frame = Dice(template)
    return f"{frame.pick(_REWRITES)} {frame.pick(_QUALITY)}\n\n{casual(prompt, prompt, cell)} ({topic(cell)})"


def tidy_message(template: int, prompt: int, cell: int) -> str:
    """An earlier answer, sent back to be cleaned up."""
    frame, dice = Dice(template), Dice(prompt)
    steps = "\n".join(f"Step {i + 1}: {item_text(dice, cell)}" for i in range(2 + dice.roll(4)))
    return f"{frame.pick(_TIDY)} {frame.pick(_QUALITY)}\n\n{steps}"
