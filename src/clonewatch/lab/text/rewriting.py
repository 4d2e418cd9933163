"""Rewords messages as a translator or a rewording service would: other words, other order, other courtesies.

Used to measure how much rewording a scan withstands. Everything that would change the question stays: code,
quotations, numbers, names, links, and the tags and braces of a forced format.
"""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from clonewatch.lab.text.dice import Dice


def _table(rows: str) -> dict[str, tuple[str, ...]]:
    """Entries `word = other, other` separated by semicolons, as a dictionary."""
    pairs = (entry.split("=", 1) for entry in rows.split(";"))
    return {word.strip(): tuple(o.strip() for o in others.split(",")) for word, others in pairs}


# Our own list: everyday and technical words, and possible replacements in a request.
SYNONYMS = _table("""
accurate = exact, correct; achieve = reach, attain; add = append, include; additional = further, extra;
address = tackle, take up; afterwards = later, subsequently; aid = help, support; allow = permit, let;
also = too, likewise; alter = change, modify; always = at all times, in every case; amount = quantity, sum;
analyse = examine, study; analyze = examine, study; answer = reply, response; answering = replying, responding;
answers = replies, responses; appropriate = suitable, fitting; approach = method, way; approaches = methods, ways;
arguments = parameters, inputs; arrive = get, come; article = piece, text; ask = request, inquire;
assist = help, support; assume = suppose, take it; assumptions = premises, suppositions; attempt = try, effort;
avoid = steer clear of, leave out; basic = simple, elementary; begin = start, commence;
below = underneath, that follows; beneath = below, under; benefits = advantages, merits; best = finest, most suitable;
big = large, sizeable; brief = short, concise; briefly = shortly, in few words; bug = defect, fault;
build = construct, put together; calculate = work out, reckon; careful = attentive, diligent;
carefully = with care, attentively; case = instance, situation; cause = reason, origin; change = alter, modify;
changes = alterations, edits; cheap = inexpensive, low-cost; check = verify, examine; choose = pick, select;
claims = says, maintains; clear = plain, lucid; clearly = plainly, lucidly; code = program, source;
collect = gather, assemble; column = field, attribute; compare = contrast, set side by side; complete = finish, full;
completely = fully, entirely; complex = complicated, intricate; compute = calculate, determine;
conclude = close, finish; conclusion = inference, finding; consider = look at, think about;
consist = be made up, be composed; contain = hold, include; contains = holds, includes; convert = turn, transform;
correct = right, proper; cost = price, expense; costs = comes to, runs to; create = make, produce;
data = figures, records; decide = settle, rule; define = specify, lay down; delete = remove, erase;
derive = deduce, obtain; describe = depict, set out; design = plan, devise; detail = specify, itemise;
detailed = thorough, in-depth; detect = spot, discover; determine = establish, find; develop = build, work up;
difference = distinction, gap; different = distinct, dissimilar; difficult = hard, tricky;
discuss = go into, talk over; display = show, present; document = paper, file; easily = readily, without effort;
easy = simple, effortless; edge = corner, border; effect = impact, consequence; efficient = economical, fast;
employ = use, apply; end = finish, close; enough = sufficient, adequate; ensure = make sure, see to it;
entire = whole, complete; error = mistake, fault; errors = mistakes, faults; essential = vital, indispensable;
estimate = gauge, approximate; evaluate = assess, judge; every = each, any; evidence = proof, support;
examine = inspect, look into; example = instance, illustration; examples = instances, illustrations;
exercise = task, assignment; expert = specialist, professional; explain = describe, make clear;
explanation = account, clarification; extract = pull out, take out; fast = quick, rapid; fault = defect, flaw;
features = traits, properties; figure = number, value; final = last, concluding; find = locate, work out;
first = initially, to begin with; fix = repair, mend; follow = obey, keep to; following = next, subsequent;
formal = official, strict; full = complete, entire; function = routine, procedure; functions = routines, procedures;
gather = collect, bring together; generate = produce, create; get = obtain, receive; give = provide, supply;
given = supplied, provided; good = fine, decent; group = set, cluster; guide = manual, handbook;
handle = deal with, take care of; handles = deals with, takes care of; hard = difficult, tough;
help = assist, support; hence = therefore, thus; hidden = concealed, unseen; huge = enormous, vast;
idea = notion, thought; ideas = notions, suggestions; identify = recognise, single out; implement = build, realise;
important = key, significant; improve = better, enhance; include = contain, cover; increase = raise, grow;
information = details, facts; input = entry, source data; instructions = directions, guidance;
intermediate = in-between, interim; issue = problem, matter; item = entry, piece; job = task, duty;
keep = retain, preserve; kind = sort, type; know = understand, be aware of; language = wording, phrasing;
large = big, sizeable; length = extent, size; limit = bound, cap; list = enumerate, name; locate = find, track down;
logic = reasoning, rationale; long = lengthy, extended; main = chief, principal; make = create, produce;
many = numerous, plenty of; maximum = largest, highest; meaning = sense, significance; means = signifies, implies;
method = technique, procedure; minimum = smallest, lowest; mistake = error, slip; modify = change, adapt;
must = has to, needs to; need = require, want; needs = requires, calls for; new = fresh, novel;
notes = remarks, jottings; now = at present, at this point; number = count, figure; obtain = get, acquire;
often = frequently, regularly; old = aged, former; only = just, merely; order = sequence, arrangement;
output = print, emit; overview = survey, outline; own = personal, individual; part = portion, section;
parts = portions, sections; people = persons, folks; perform = carry out, do; picture = image, illustration;
piece = part, bit; plan = scheme, blueprint; point = item, remark; points = items, remarks;
possible = feasible, conceivable; precise = exact, accurate; prepare = get ready, draw up; present = show, lay out;
price = cost, rate; problem = exercise, question; procedure = process, routine; produce = make, create;
program = script, application; proper = right, fitting; propose = suggest, put forward; prove = show, demonstrate;
provide = give, supply; purpose = aim, goal; put = place, set; question = query, problem; quick = fast, swift;
quickly = fast, swiftly; rapid = quick, speedy; read = go through, look over; reason = think, argue;
reasoning = thinking, line of thought; reasons = grounds, motives; recommend = suggest, advise;
refactor = restructure, rework; regarding = about, concerning; remove = delete, take away; repair = fix, mend;
repeat = redo, say again; replace = substitute, swap; reply = answer, response; report = account, statement;
reports = states, gives; request = ask for, call for; require = need, call for; required = necessary, needed;
respond = answer, reply; result = outcome, finding; results = outcomes, findings; return = give back, hand back;
review = go over, inspect; rewrite = rephrase, reword; right = correct, proper; rough = approximate, crude;
rows = lines, records; runs = operates, works; same = identical, very same; search = look, hunt;
section = part, passage; select = choose, pick; sentence = phrase, line; sequence = order, series;
set = group, collection; several = a few, various; share = split, divide; short = brief, concise;
should = ought to, has to; show = display, present; shows = displays, presents; significant = notable, considerable;
similar = alike, comparable; simple = plain, easy; simplify = make simpler, streamline;
situation = circumstance, case; skip = leave out, omit; small = little, minor; solution = answer, resolution;
solve = work out, resolve; sort = arrange, order; start = begin, commence; state = declare, name; step = stage, move;
steps = stages, moves; stores = keeps, holds; story = tale, narrative; strategy = plan, tactic;
strict = rigorous, stern; style = manner, tone; suggest = propose, recommend; suitable = fitting, apt;
summarise = sum up, condense; summarize = sum up, condense; summary = digest, synopsis; sure = certain, confident;
table = grid, chart; take = use, pick; task = job, assignment; tasks = jobs, assignments;
technique = method, approach; tell = inform, let know; test = trial, check; tests = trials, checks;
text = passage, wording; then = next, after that; therefore = so, thus; think = reason, reflect;
thorough = exhaustive, in-depth; thought = thinking, consideration; tool = instrument, utility;
topic = subject, theme; total = overall, whole; transform = convert, turn; try = attempt, make an effort;
type = kind, sort; typical = usual, common; understand = grasp, follow; use = employ, apply; used = employed, applied;
useful = helpful, handy; using = employing, by means of; usual = common, customary; value = figure, quantity;
various = several, diverse; verify = confirm, check; very = really, quite; want = wish, would like;
way = manner, fashion; ways = manners, options; whole = entire, complete; words = terms, expressions;
work = labour, effort; write = compose, draft; written = composed, drafted; wrong = incorrect, mistaken;
aren't = are not; can't = cannot; couldn't = could not; didn't = did not; doesn't = does not; don't = do not;
dont = do not; haven't = have not; i'd = I would; i'll = I will; i'm = I am; isn't = is not; it's = it is;
let's = let us; shouldn't = should not; that's = that is; there's = there is; wasn't = was not; we're = we are;
what's = what is; won't = will not; wouldn't = would not; you're = you are; a lot of = plenty of, lots of;
as well as = and also, along with; at least = no fewer than, a minimum of; at most = no more than, a maximum of;
based on = going by, resting on; be able to = manage to, have the means to; deal with = take on, see to;
due to = because of, owing to; figure out = work out, find out; find out = learn, discover;
for example = for instance, say; has to = must, needs to; how many = what number of; in detail = at length, in depth;
in order to = so as to, to; in terms of = by way of, as regards; instead of = rather than, in place of;
look at = examine, inspect; make sure = ensure, take care; nothing else = no other thing, only that;
of course = naturally, certainly; step by step = one step at a time, stage by stage; such as = like, for instance;
take care of = look after, attend to; with respect to = with regard to, concerning; work out = determine, solve
""")
# Imperatives that may be turned into the passive, and their participles.
_PARTICIPLES = {
    "add": "added", "analyse": "analysed", "answer": "answered", "build": "built", "calculate": "calculated",
    "check": "checked", "compare": "compared", "complete": "completed", "compute": "computed",
    "consider": "considered", "create": "created", "describe": "described", "determine": "determined",
    "discuss": "discussed", "estimate": "estimated", "explain": "explained", "find": "found", "fix": "fixed",
    "generate": "generated", "give": "given", "handle": "handled", "identify": "identified",
    "implement": "implemented", "improve": "improved", "list": "listed", "make": "made", "provide": "provided",
    "prove": "proved", "read": "read", "refactor": "refactored", "remove": "removed", "rewrite": "rewritten",
    "show": "shown", "solve": "solved", "state": "stated", "summarise": "summarised", "summarize": "summarised",
    "take": "taken", "translate": "translated", "use": "used", "verify": "verified", "wrap": "wrapped",
    "write": "written",
}  # fmt: skip
# Imperatives that may be turned into a noun.
_NOUNS = {
    "analyse": "an analysis",
    "compare": "a comparison",
    "compute": "a computation",
    "describe": "a description",
    "discuss": "a discussion",
    "estimate": "an estimate",
    "explain": "an explanation",
    "derive": "a derivation",
    "implement": "an implementation",
    "improve": "an improvement",
    "refactor": "a reworking",
    "review": "a review",
    "rewrite": "a rewording",
    "summarise": "a summary",
    "summarize": "a summary",
    "translate": "a translation",
}
_FRAMES = (
    "Please",
    "Kindly",
    "I would like you to",
    "Could you please",
    "I need you to",
    "It would help to",
    "Your job is to",
    "We ask you to",
)
_WANTED = ("I need", "Give me", "What I want is", "Please provide")
_SHOULD = ("should be", "has to be", "needs to be", "is to be")
_FILLERS = (
    "in this case",
    "as far as you can",
    "for our purposes",
    "all in all",
    "as it were",
    "if you will",
    "at this point",
    "on the whole",
)
_FILLED_WORDS = 7  # shorter sentences take no filler
_JOINTS = "if|when|before|after|unless|because|while|once|until|since|although|so that|as soon as"

_KEPT = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]+`|\"[^\"\n]{1,600}\"|“[^”\n]{1,600}”|<[^<>\n]{1,80}>|\{(?:[^{}]|\{[^{}]*\})*\}"
    r"|\[[^\[\]\n]*\]|https?://\S+|^#+ .*$|\w+(?:[./_:]\w+)+|\d+|[\U000F0000-\U000FFFFD]",
    re.DOTALL | re.MULTILINE,
)
_HELD = 0xF0000  # each protected part is replaced by one private-use character
_MOST_HELD = 65_000
_SENTENCE = re.compile(r"[^.!?;\n]+(?:[.!?;](?=\s|$)|[.!?;]+|(?=\n)|$)")
_TRAILING = re.compile(rf"^(?P<main>[^,;:]{{8,}}?),? (?P<clause>(?:{_JOINTS}) [^,;:]{{4,}})$", re.IGNORECASE)
_LEADING = re.compile(rf"^(?P<clause>(?:{_JOINTS}) [^,;:]{{4,}}), (?P<main>[^,;:]{{8,}})$", re.IGNORECASE)
_IMPERATIVE = re.compile(
    r"^(?P<verb>[A-Za-z]+) (?P<what>(?:the|every|each|all|a|an|your|this|these|any|both|its)\b.*)$"
)
_AFTER_THING = re.compile(r" (?:with|as|by|in|from|to|for|at|inside|that|which|below|before|so)\b|[,:;(]| and | or ")
_PARTS = re.compile(r"^(?P<before>\s*(?:[A-Za-z]+: )?)(?P<said>.*?)(?P<after>[.!?;]*\s*)$", re.DOTALL)
# Words that stand alone: not part of a name in code, a path, a field of a table.
_PHRASES = sorted(SYNONYMS, key=len, reverse=True)
_WORD = re.compile(
    r"(?<![\w./@#'’-])(?<!\w,)(?:" + "|".join(map(re.escape, _PHRASES)) + r")(?![\w/@#'’-]|[.,]\w)", re.IGNORECASE
)
_ARTICLE = re.compile(r"\b([Aa])n?( +)\Z")
_UNITS = 1 << 20


class Reworded(NamedTuple):
    """A text reworded: how many places could have been changed, and how many were."""

    text: str
    places: int
    changed: int


def reword(text: str, strength: float, seed: int = 0) -> Reworded:
    """The same request in other words.

    strength: share of the applicable places that are changed, 0..1. The same text, strength and seed give the same
    words; a place that is changed at some strength is changed at every higher one, except for places that appear or
    disappear because of a change of order. Raises ValueError for a strength outside 0..1.

    >>> reword("Explain the answer in detail. Use `x = 3`.", 1.0).text
    'I need an explanation of the reply at length. Apply `x = 3`.'
    >>> reword("Explain the answer.", 0.0).changed
    0
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be 0 to 1, not {strength}")
    kept: list[str] = []
    masked = _KEPT.sub(lambda found: _hold(found[0], kept), text)
    change = _Changes(seed, text, strength)
    masked = _SENTENCE.sub(lambda found: _sentence(found[0], change, kept), masked)
    masked = _words(masked, change)
    return Reworded(_restored(masked, kept), change.places, change.changed)


class _Changes:
    """Decides per place, from its text and the number of earlier occurrences, and counts."""

    def __init__(self, seed: int, text: str, strength: float) -> None:
        self._salt = blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
        self._line = strength * _UNITS
        self._seen: dict[str, int] = {}
        self.places = self.changed = 0

    def at(self, place: str) -> Dice | None:
        """Dice for the change of this place, or None if it stays."""
        again = self._seen[place] = self._seen.get(place, 0) + 1
        number = blake2b(f"{place} {again}".encode(), digest_size=8, key=self._salt).digest()
        dice = Dice(int.from_bytes(number, "big"))
        self.places += 1
        if dice.roll(_UNITS) >= self._line:
            return None
        self.changed += 1
        return dice


def _hold(part: str, kept: list[str]) -> str:
    if len(kept) >= _MOST_HELD:
        return part
    kept.append(part)
    return chr(_HELD + len(kept) - 1)


def _restored(masked: str, kept: list[str]) -> str:
    return re.sub(r"[\U000F0000-\U000FFFFD]", lambda found: kept[ord(found[0]) - _HELD], masked) if kept else masked


def _sentence(whole: str, change: _Changes, kept: list[str]) -> str:
    """One sentence with its clauses and voice changed; space, label and end mark stay in place."""
    found = _PARTS.match(whole)
    if not found or len(found["said"]) < 8:
        return whole
    changed = said = found["said"]
    for name, rule in _RULES:
        made = rule(changed, lambda words: _hold(words, kept))
        if made is not None and (dice := change.at(f"{name} {said}")):
            changed = made(dice)
    return f"{found['before']}{changed}{found['after']}"


# The result of a rule for a sentence. Words that rules add are protected, so that they are not reworded in turn.
_Made = Callable[[Dice], str]
_Hold = Callable[[str], str]


def _reorder(said: str, hold: _Hold) -> _Made | None:
    """Move a condition at the end to the front, and one at the beginning to the end."""
    leading, trailing = _LEADING.match(said), _TRAILING.match(said)
    if leading:
        return lambda dice: f"{_upper(leading['main'])} {_lower(leading['clause'])}"
    if trailing:
        return lambda dice: f"{_upper(trailing['clause'])}, {_lower(trailing['main'])}"
    return None


def _revoice(said: str, hold: _Hold) -> _Made | None:
    """Turn an imperative into a wish in the passive, or a noun."""
    found = _IMPERATIVE.match(said)
    if not found:
        return None
    verb, what = found["verb"].lower(), found["what"]
    if noun := _NOUNS.get(verb):
        return lambda dice: f"{hold(f'{dice.pick(_WANTED)} {noun} of')} {what}"
    # What follows the object stays after the verb.
    cut = _AFTER_THING.search(what)
    thing, rest = (what[: cut.start()], what[cut.start() :]) if cut else (what, "")
    if verb not in _PARTICIPLES or rest.startswith((" and ", " or ", ",")):
        return None
    return lambda dice: f"{_upper(thing)} {hold(f'{dice.pick(_SHOULD)} {_PARTICIPLES[verb]}')}{rest}"


def _frame(said: str, hold: _Hold) -> _Made | None:
    """Turn an imperative into a polite request."""
    first = said.split(" ", 1)[0]
    if first.lower() not in _PARTICIPLES.keys() | _NOUNS.keys():
        return None
    return lambda dice: f"{hold(dice.pick(_FRAMES))} {_lower(said)}"


def _fill(said: str, hold: _Hold) -> _Made | None:
    """Add a filler phrase before or after."""
    if len(said.split()) < _FILLED_WORDS:
        return None

    def made(dice: Dice) -> str:
        words = dice.pick(_FILLERS)
        return f"{hold(_upper(words))}, {_lower(said)}" if dice.chance(50) else f"{said}, {hold(words)}"

    return made


_RULES = (("order", _reorder), ("voice", _revoice), ("frame", _frame), ("filler", _fill))


def _words(text: str, change: _Changes) -> str:
    """Replace words and short phrases by others, and adapt `a` and `an`."""
    parts: list[str] = []
    at = 0
    for found in _WORD.finditer(text):
        word = found[0]
        shouted = len(word) > 1 and word.isupper()
        dice = None if shouted else change.at(word.lower())
        if dice is None:
            continue
        other = dice.pick(SYNONYMS[word.lower()])
        before = _ARTICLE.sub(rf"\g<1>{'n' if other[0] in 'aeiouAEIO' else ''}\g<2>", text[at : found.start()])
        parts += [before, _upper(other) if word[0].isupper() else other]
        at = found.end()
    return "".join([*parts, text[at:]])


def _upper(said: str) -> str:
    return said[:1].upper() + said[1:]


def _lower(said: str) -> str:
    """The first letter in lower case, except in a capitalised name or the word I."""
    first = said.split(" ", 1)[0]
    keep = first == "I" or not (first[1:].islower() or len(first) == 1)
    return said if keep else said[:1].lower() + said[1:]
