"""How people write: greetings, typos, lower case, missing full stops, several languages."""

from clonewatch.lab.text.dice import Dice
from clonewatch.lab.text.word_lists import ADJECTIVES, ASPECTS, DOMAINS, DOMAINS_OF, NAMES, PLACES, THINGS, VERBS

_GREETINGS = (
    "hi, ",
    "Hello! ",
    "hey ",
    "Good morning, ",
    "hi there ",
    "Hello, ",
    "yo ",
    "Dear assistant, ",
)
_OPENERS = (
    "can you {verb} {topic}", "I need help with {topic}", "how do i {verb} {topic}",
    "What is the best way to {verb} {topic}", "please {verb} {topic}", "my {thing} has a problem with {topic}",
    "I am working on {topic}", "why does {topic} matter", "{verb} {topic}", "question about {topic}",
    "could you {verb} {topic} for me", "tell me about {topic}", "we are stuck on {topic}", "I want to {verb} {topic}",
    "is there a {adj} way to {verb} {topic}", "Someone asked me to {verb} {topic}", "what would you do about {topic}",
    "need a {adj} take on {topic}", "{name} told me to look into {topic}", "{verb} this: {topic}",
    "Got an issue with {topic}", "i dont understand {topic}", "looking for ideas on {topic}",
    "Give me {n} tips on {topic}",
)  # fmt: skip
_MIDDLES = (
    "it is for a {adj} {thing} in {place}",
    "we have {n} days and a {adj} budget",
    "{name} already tried the {thing} approach",
    "the {thing} is {adj} and i have {n} of them",
    "last time it took {n} hours",
    "my boss {name} wants it by the {n}th",
    "I only have a {adj} {thing}",
    "nothing works since we moved to {place}",
    "there are {n} people involved",
    "please consider the {adj} {thing}",
    "assume we start from {n}",
    "it keeps saying {thing} {n}",
    "the old {thing} was {adj}",
    "my {adj} {thing} does not help",
    "{name} and {name2} disagree",
    "I read that {place} does it with a {thing}",
    "the numbers are {n}, {m} and {n2}",
    "i tried {verb2}ing the {thing} but no luck",
    "it should fit on {n} pages",
    "we cannot change the {thing}",
    "This is my {n}th attempt",
    "it has to be {adj}",
)
_CLOSERS = (
    "keep it short", "thanks", "thx", "any ideas", "step by step please", "in simple words", "use a table",
    "be {adj}", "no jargon please", "give an example with {n}", "thank you so much", "in {n} words",
    "what do you think", "just the answer", "I am a beginner", "cheers {name}", "", "", "", "",
)  # fmt: skip
_CODE = (
    "\n\n```python\ndef {thing}_{n}(rows):\n    total = {m}\n    for row in rows:\n"
    "        total += row['{thing2}'] / {n}\n    return total\n```",
    "\n\nTraceback: KeyError: '{thing}_{n}' in {thing2}.py line {m}",
    "\n\n```sql\nselect {thing}, count(*) from {thing2}_{n} group by 1 having count(*) > {m}\n```",
    "\n\n```js\nconst {thing} = items.filter(i => i.{thing2} > {n}).map(i => i.id + {m})\n```",
)
_DATA = (
    "\n\nid,{thing},{thing2}\n1,{n},{m}\n2,{m},{n2}\n3,{n2},{n}",
    "\n\n{thing}: {n}\n{thing2}: {m}\ntotal: {n2}",
)
_ABROAD = (
    (
        "你好，请问{zh}应该怎么处理？我有{n}个{zh2}，时间只有{m}天",
        "帮我写一篇关于{zh}的文章，大约{n}字，要提到{zh2}",
        "{zh}和{zh2}有什么区别，举{n}个例子",
        "我的{zh}出问题了，显示{n}，怎么解决",
    ),
    (
        "hola, necesito ayuda con {thing} numero {n}, tengo {m} dias y vivo en {place}",
        "explícame {thing} con {n} ejemplos por favor",
        "como puedo mejorar mi {thing} en {place}? tengo {n} euros",
    ),
    (
        "Hallo, ich brauche Hilfe mit {thing} Nr. {n}, wir haben {m} Tage",
        "kannst du mir {thing} in {n} Sätzen erklären",
        "Was kostet ein {thing} in {place} für {n} Personen?",
    ),
    (
        "bonjour, comment faire un {thing} pour {n} personnes à {place}",
        "corrige ce texte sur {thing} en {n} mots, merci",
    ),
    (
        "oi, preciso de ajuda com {thing} {n} em {place}, tenho {m} dias",
        "escreva um resumo sobre {thing} com {n} linhas",
    ),
    ("{zh}について{n}字で教えてください。{place}に住んでいます", "{zh}の使い方を{m}個の例で説明して"),
)
_CHINESE = (
    "合同",
    "代码",
    "数据库",
    "旅行计划",
    "论文",
    "简历",
    "电池",
    "植物",
    "考试",
    "发票",
    "算法",
    "会议",
    "菜谱",
    "股票",
    "相机",
    "地图",
)
_FOREIGN_PERCENT, _GREETING_PERCENT, _LOWER_PERCENT, _TYPO_PERCENT, _NO_STOP_PERCENT = 9, 12, 36, 14, 51


def topic(cell: int, kind: str = "") -> str:
    """A topic cell in words. kind: code, data and homework have their own subjects.

    >>> topic(65)
    'timing of a rental contract'
    """
    domains = DOMAINS_OF.get(kind, DOMAINS)
    return f"{ASPECTS[cell // 64 % 64]} of {domains[cell % len(domains)]}"


def slots(dice: Dice, cell: int, kind: str = "") -> dict[str, object]:
    """Fillers derived from the prompt: names, places, things, numbers."""
    return {
        "topic": topic(cell, kind),
        "verb": VERBS[cell % 16],
        "verb2": dice.pick(VERBS),
        "adj": dice.pick(ADJECTIVES),
        "thing": dice.pick(THINGS),
        "thing2": dice.pick(THINGS),
        "name": dice.pick(NAMES),
        "name2": dice.pick(NAMES),
        "place": dice.pick(PLACES),
        "n": dice.roll(900) + 2,
        "m": dice.roll(90) + 3,
        "n2": dice.roll(9000) + 11,
        "zh": dice.pick(_CHINESE),
        "zh2": dice.pick(_CHINESE),
    }


def casual(template: int, prompt: int, cell: int, kind: str = "chat") -> str:
    """What a person might send. template: decides the wording, prompt: its fillers. kind: chat, code, data..."""
    style, fill = Dice(template), slots(Dice(prompt), cell, kind)
    if style.chance(_FOREIGN_PERCENT):
        return style.pick(_ABROAD[style.roll(len(_ABROAD))]).format(**fill)
    parts = [style.pick(_OPENERS)]
    parts += [style.pick(_MIDDLES) for _ in range((0, 1, 1, 2, 2, 3, 4)[style.roll(7)])]
    closer = style.pick(_CLOSERS)
    if closer:
        parts.append(closer)
    joint = style.pick((". ", ", ", "\n", ". ", "; "))
    said = joint.join(parts)
    if style.chance(_GREETING_PERCENT):
        said = style.pick(_GREETINGS) + said
    if kind == "code" and style.chance(55):
        said += style.pick(_CODE)
    elif kind == "data" and style.chance(50):
        said += style.pick(_DATA)
    elif not style.chance(_NO_STOP_PERCENT):
        said += style.pick((".", "?", "!", "."))
    said = said.format(**fill)
    said = said.lower() if style.chance(_LOWER_PERCENT) else said[0].upper() + said[1:]
    return _misspelt(said, style) if style.chance(_TYPO_PERCENT) else said


def _misspelt(said: str, style: Dice) -> str:
    """Swap two neighbouring letters."""
    at = style.roll(max(1, len(said) - 2))
    return said[:at] + said[at + 1 : at + 2] + said[at : at + 1] + said[at + 2 :]
