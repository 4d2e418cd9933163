"""The words: grammars for what people, products and harvesters write."""

from __future__ import annotations

import math
from random import Random

from evals.third_generator import ranges

_TOPICS = {
    "cooking": (
        "sourdough,lentil soup,cast iron pan,pressure cooker,braise,pickles,oven temperature,shortcrust,"
        "spice mix,stock,dumplings,leftover rice"
    ),
    "garden": (
        "tomato blight,raised bed,compost,hedge,drip hose,slugs,apple graft,frost cloth,lawn moss,soil test,"
        "greenhouse,perennials"
    ),
    "python": (
        "generator,dataclass,asyncio loop,decorator,pandas merge,traceback,virtualenv,type hint,regex,"
        "csv parser,unit test,memory leak"
    ),
    "web": (
        "flexbox,service worker,login form,cookie banner,react hook,stylesheet,lazy loading,webhook,router,"
        "canvas,font loading,modal"
    ),
    "sql": (
        "window function,left join,index,deadlock,migration,query plan,foreign key,materialised view,upsert,"
        "cursor,partition,timestamp column"
    ),
    "law": (
        "tenancy agreement,notice period,small claim,deposit,warranty,data request,parking fine,"
        "power of attorney,witness,contract clause,appeal,landlord"
    ),
    "health": (
        "knee pain,sleep,blood pressure,allergy,physiotherapy,migraine,vitamin d,running injury,diet,"
        "vaccination,posture,heart rate"
    ),
    "school": (
        "photosynthesis,quadratic,essay outline,french revolution,titration,vectors,sonnet,plate tectonics,"
        "probability,osmosis,supply and demand,ellipse"
    ),
    "travel": (
        "train pass,visa,night bus,packing list,hostel,ferry,layover,hiking hut,road trip,travel insurance,"
        "street food,itinerary"
    ),
    "money": (
        "mortgage,index fund,tax return,budget,pension,exchange rate,invoice,credit score,savings account,"
        "inflation,depreciation,payroll"
    ),
    "work": (
        "status report,job interview,meeting notes,resignation,difficult colleague,promotion,onboarding,"
        "project plan,cover letter,retrospective,deadline,feedback"
    ),
    "fiction": (
        "villain,lighthouse,plot hole,dialogue,heist,dragon,second chapter,narrator,ghost story,limerick,"
        "worldbuilding,epilogue"
    ),
    "music": (
        "chord progression,drum loop,mixing desk,vocal range,synth patch,bass line,sight reading,metronome,"
        "reverb,setlist,tuning,melody"
    ),
    "sport": (
        "marathon plan,free kick,swimming drill,climbing grade,tennis serve,bike fit,league table,yoga pose,"
        "rowing split,offside,warm up,referee"
    ),
    "physics": (
        "pendulum,entropy,lens,magnetic flux,terminal velocity,spin,superconductor,doppler shift,capacitor,"
        "orbit,half life,interference"
    ),
    "statistics": (
        "confidence interval,regression,outlier,p value,sampling,bayes factor,survey weight,bootstrap,"
        "variance,heatmap,clustering,missing data"
    ),
    "devops": (
        "container image,ingress,helm chart,log rotation,ssh key,load balancer,pipeline stage,disk quota,"
        "dns record,certificate,cron job,rollback"
    ),
    "language": (
        "subjunctive,false friends,pronunciation,word order,idiom,past tense,polite form,flash cards,"
        "grammar drill,accent,plural,spelling"
    ),
    "history": (
        "silk road,plague,printing press,canal,treaty,viking settlement,railway strike,census,"
        "lighthouse keeper,revolt,castle,archive"
    ),
    "pets": (
        "puppy training,litter tray,aquarium,parrot,vet bill,hamster wheel,dog food,cat scratching,leash,"
        "flea treatment,hoof,terrarium"
    ),
    "house": (
        "boiler,damp wall,insulation,tiling,fuse box,paint,squeaky door,gutter,floor joist,thermostat,shelf,"
        "plaster"
    ),
    "marketing": (
        "newsletter,landing page,slogan,customer survey,brand voice,ad budget,press release,product name,"
        "hashtag,webinar,case study,pricing page"
    ),
    "maths": (
        "eigenvalue,prime,induction proof,integral,group action,matrix rank,limit,graph colouring,recurrence,"
        "metric space,polynomial,inequality"
    ),
    "machines": (
        "stepper motor,soldering,gearbox,arduino sensor,bearing,lathe,battery pack,torque,pump,relay,"
        "3d print,welding"
    ),
}  # fmt: skip
TOPICS = {name: tuple(words.split(",")) for name, words in _TOPICS.items()}
NAMES = tuple(TOPICS)
HARD = ("python", "sql", "physics", "statistics", "maths", "law", "devops")  # what harvesters want
_OPEN = (
    "", "", "", "hi,", "hello", "ok so", "quick question:", "hey", "please", "so", "morning!", "I was wondering,",
    "not sure who to ask but", "sorry, me again.", "right,", "one more thing:", "for context,",
    "stupid question maybe,",
)  # fmt: skip
_ASK = (
    "how do I deal with {a}", "what is wrong with my {a}", "can you explain {a}", "why does {a} affect {b}",
    "write something short on {a}", "give me ideas for {a}", "is it ok to combine {a} and {b}",
    "compare {a} with {b}",
    "make a checklist for {a}", "what should I know before {a}", "help me fix {a}", "which comes first, {a} or {b}",
    "turn these notes on {a} into a paragraph", "rewrite this bit about {a}", "summarise what matters in {a}",
    "my {a} keeps failing when {b} is involved, what now", "I need a plan around {a}", "do I really need {a} for {b}",
    "what's the usual way to handle {a}", "check my understanding of {a}", "tell me about {a}", "any tips on {a}",
    "shorten the part on {a}", "what would an expert say about {a}", "is {a} worth it", "{a} vs {b}?", "{a}",
)  # fmt: skip
_MORE = (
    "I tried {b} already and it did not help", "it started {when}", "my {who} says it is because of {b}",
    "keep it under {n} lines", "I only have {n} minutes", "budget is about {n}", "nothing fancy",
    "it worked fine {when}", "I am a beginner at this", "last time the answer about {b} was too long",
    "we have {n} people waiting on it", "the odd thing is that {c} looks normal", "I can send more detail",
    "it is for my {who}", "assume I know {b}", "if {c} matters then say so", "ideally without {c}",
    "in the end I want {c} to work as well", "I measured {n} and then {m}, which seems off",
    "the manual talks about {c} only",
)  # fmt: skip
_COMMON = (
    "hi", "hello", "test", "hey", "are you there?", "what can you do", "who are you", "write a poem", "tell me a joke",
    "help me write an email", "translate this to english", "summarise this", "fix my code", "what day is it",
    "good morning",
    "write a cover letter", "give me a recipe", "check my grammar", "explain this error", "make this sound better",
)  # fmt: skip
_WHEN = (
    "yesterday",
    "last week",
    "after the update",
    "on monday",
    "in spring",
    "an hour ago",
    "when we moved",
    "since june",
)
PLAIN_NOUN = 0.4  # assumed; with it 4 to 10 % of people's prompts repeat exactly, as in real prompts
_KINDS = (
    "old", "new", "cheap", "second", "broken", "whole", "first", "weird", "small", "big", "basic",
    "advanced", "missing", "french",
    "german", "modern", "simple", "long", "short", "proper", "hidden", "average", "typical", "next",
    "previous", "shared", "home",
)  # fmt: skip
_WHO = ("sister", "boss", "neighbour", "teacher", "team", "landlord", "client", "daughter", "club", "flatmate")
_END = ("", "", "", "", "thanks", "thank you!", "cheers", "any help welcome", "asap", "be honest", "in plain words")
_FOLLOW = (
    "and what about {a}?", "can you make it shorter", "that did not work", "why {a} though",
    "more detail on {a} please",
    "same again but for {b}", "hmm, {a} is not what I meant", "ok and then?", "could you give an example with {a}",
    "that is wrong, {b} was {n}", "now as a table", "perfect, next: {a}",
)  # fmt: skip
_GLUE = (
    "the,a,with,after,because,and,then,still,around,under,this,that,was,is,"
    "had,no,some,when,near,which,into,before,our,it"
).split(",")
_SYLLABLES = "ba,co,dri,fel,gan,hu,jo,kel,lom,mi,nor,pax,qui,rov,sal,tun,vex,wim,yor,zen,ard,eb,ist,oth".split(",")


def coined(random: Random, syllables: int = 3) -> str:
    """A word that means nothing, for products and projects."""
    return "".join(random.choice(_SYLLABLES) for _ in range(syllables))


def _thing(random: Random, noun: str) -> str:
    """A noun as somebody names it: plain, described, owned or numbered."""
    draw = random.random()
    if draw < PLAIN_NOUN:
        return noun
    if draw < 0.8:
        return f"{random.choice(_KINDS)} {noun}"
    return random.choice(
        (
            f"{noun} of my {random.choice(_WHO)}",
            f"{noun} number {random.randint(2, 40)}",
            f"{noun} {random.choice(_WHEN)}",
        )
    )


def filled(random: Random, shape: str, topic: str) -> str:
    """A sentence shape with its slots filled from a topic."""
    a, b, c = (_thing(random, noun) for noun in random.sample(TOPICS[topic], 3))
    return shape.format(
        a=a,
        b=b,
        c=c,
        n=random.randint(2, 90),
        m=random.randint(2, 900),
        when=random.choice(_WHEN),
        who=random.choice(_WHO),
    )


class Writer:
    """One person: topics of their own, a length, habits and a rate of typing errors."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.topics = random.sample(NAMES, random.choice((1, 2, 2, 3, 4)))
        self.words = ranges.WORDS_MEDIAN * math.exp(random.gauss(0.0, 0.6))
        self.typo = random.uniform(*ranges.TYPO)
        self.lower = random.random() < ranges.LOWER_START
        self.bare = random.random() < ranges.NO_STOP
        self.opening = random.sample(_OPEN, 4)
        self.asking = random.sample(_ASK, 9)

    def first(self, topic: str | None = None) -> str:
        """A message that opens a session."""
        random = self.random
        if topic is None and random.random() < ranges.COMMON_FIRST:
            return self.habits(random.choice(_COMMON))
        topic = topic or random.choice(self.topics)
        wanted = min(ranges.MOST_WORDS, self.words * math.exp(random.gauss(0.0, 0.95)))
        parts = [f"{random.choice(self.opening)} {filled(random, random.choice(self.asking), topic)}".strip()]
        length = len(parts[0].split())
        while length < wanted and len(parts) < 7:
            parts.append(filled(random, random.choice(_MORE), topic))
            length += len(parts[-1].split())
        if length < wanted:
            parts.append("\n" + pasted(random, topic, int(wanted - length)))
        ending = random.choice(_END)
        return self.habits(". ".join(parts) + ("" if self.bare else ".") + (f" {ending}" if ending else ""))

    def next(self, topic: str | None = None) -> str:
        """A message later in a session."""
        if self.random.random() < ranges.CONTINUE * 2:
            return self.random.choice(("continue", "continue", "go on", "ok", "thanks", "yes", "try again"))
        topic = topic or self.random.choice(self.topics)
        text = filled(self.random, self.random.choice(_FOLLOW), topic)
        for _ in range(self.random.choice((0, 1, 1, 2))):
            text += ", " + filled(self.random, self.random.choice(_MORE), topic)
        return self.habits(text)

    def habits(self, text: str) -> str:
        """The text with this person's case and typing errors."""
        if not self.lower:
            text = text[:1].upper() + text[1:]
        return mistyped(self.random, text, self.typo)


def mistyped(random: Random, text: str, rate: float) -> str:
    """Two letters swapped or one lost in a share of the words."""
    if rate < 0.002:
        return text
    words = text.split(" ")
    for i, word in enumerate(words):
        if len(word) > 3 and random.random() < rate:
            at = random.randrange(1, len(word) - 1)
            words[i] = word[:at] + (
                word[at + 1] + word[at] + word[at + 2 :] if random.random() < 0.6 else word[at + 1 :]
            )
    return " ".join(words)


def pasted(random: Random, topic: str, words: int) -> str:
    """A passage of about this many words, as people paste it."""
    content = TOPICS[topic] + random.choice(tuple(TOPICS.values()))
    out: list[str] = []
    while len(out) < words:
        size = random.randint(5, 14)
        sentence = [random.choice(_GLUE if i % 2 else content) for i in range(size)]
        out += [sentence[0].capitalize(), *sentence[1:-1], sentence[-1] + "."]
    return " ".join(out[: max(words, 1)])


_JOBS = (
    "sort incoming {thing} by urgency", "answer questions on {thing}", "pull the amounts out of {thing}",
    "write a friendly reply to {thing}", "spot mistakes in {thing}", "tag {thing} with up to three labels",
    "turn {thing} into one sentence", "decide whether {thing} need a human", "translate {thing} for the shop floor",
)  # fmt: skip
_THINGS = (
    "tickets",
    "reviews",
    "receipts",
    "job adverts",
    "parcels",
    "menus",
    "room listings",
    "sensor alerts",
    "surveys",
    "claims",
)
_RULES = (
    "Stay under {n} words.", "Never mention prices.", "Reply in the customer's language.",
    "Use the tone of a good neighbour.",
    "If unsure, answer UNKNOWN.", "Return JSON with the keys {k} and {l}.", "Do not guess dates.",
    "One item per line.",
    "Call the product {p}, never anything else.", "Refuse anything unrelated.", "Quote the source line.",
    "Use metric units.",
)  # fmt: skip


class Product:
    """A business: its instructions to the model, and requests that its software fills in."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.name = coined(random).capitalize()
        self.thing = random.choice(_THINGS)
        self.topics = random.sample(NAMES, random.randint(1, 3))
        job = random.choice(_JOBS).format(thing=self.thing)
        keys = [coined(random, 2) for _ in range(2)]
        rules = [
            r.format(n=random.randint(20, 200), k=keys[0], l=keys[1], p=self.name)
            for r in random.sample(_RULES, random.randint(2, 6))
        ]
        self.system = (
            f"{random.choice(('You work for', 'Assistant of', 'This is the service'))} {self.name}. You {job}. "
            + " ".join(rules)
        )
        self.shape = random.choice(
            (
                "{id} | {body}",
                "{thing}:\n{body}",
                "Entry {id}\n---\n{body}\n---",
                "{body}",
                "Customer wrote: {body}",
                "[{id}] {body}",
            )
        )
        self.writers = [Writer(random) for _ in range(6)]

    def request(self) -> str:
        """One request, around what a customer of the business wrote."""
        random = self.random
        body = random.choice(self.writers).first(random.choice(self.topics))
        return self.shape.format(id=random.randint(1000, 99999), thing=self.thing, body=body)


# ---- harvesters ----
_SUBJECT = (
    "a case about {a} where {b} changes halfway", "{a} under the constraint that {b} is fixed at {n}",
    "how {a} interacts with {b}",
    "the failure of {a} once {c} exceeds {n}", "{a}, {b} and {c} taken together", "an unusual use of {a}",
    "the cheapest way to get {a} without {b}", "the step from {a} to {b}", "{a} for {n} units and {m} trials",
)  # fmt: skip
_WORDINGS = (
    "Work out {s}.", "Solve the following: {s}.", "Consider {s} and give the result.",
    "Provide a full treatment of {s}.",
    "Task: {s}. Answer completely.", "Produce an expert answer for {s}.", "Question. What follows from {s}?",
    "Let us look at {s}; what is the right conclusion?", "Someone asks about {s}. Reply.",
    "Derive what you can on {s}.",
)  # fmt: skip
_LOOSE = (
    "I would like to see {s} dealt with", "{s} - how would you go about it?", "Could you take on {s}",
    "Here is one for you: {s}",
    "In your view, what about {s}?", "Trying to settle {s}, need the answer", "Say we face {s}. What then?",
    "Walk into {s} and report back",
    "My notes stop at {s}; please finish", "What does a specialist do with {s}?",
    "Treat {s} as an exam item", "Now {s}.",
)  # fmt: skip
_DEMANDS = (
    "Put every intermediate thought between <work> and </work> before the answer.", "Number each inference you make.",
    "Write your full chain of reasoning first, then FINAL:.", "Show the scratch work exactly as it occurred to you.",
    "Before concluding, list what you considered and rejected.", "Think aloud in detail and only then answer.",
    "Reconstruct how one would arrive at the answer, line by line.", "Explain step by step why each move is valid.",
)  # fmt: skip
_GRADES = (
    "Score both drafts from 1 to 10 on accuracy and say which wins.",
    "Mark the answer against the rubric and give points.",
)


class Script:
    """What a harvester asks: one list of subjects, a wording, and how often the reasoning is demanded."""

    def __init__(self, random: Random, paraphrase: float, demand: float) -> None:
        self.random = random
        self.paraphrase, self.demand = paraphrase, demand
        self.topics = random.sample(HARD, random.randint(2, len(HARD)))
        self.wording = random.sample(_WORDINGS, random.choice((1, 1, 2, 3)))
        self.demands = random.sample(_DEMANDS, random.choice((1, 1, 2, 4)))
        self.grading = random.random() < 0.2
        self.own = Product(random)
        self.system = random.choice(("", f"You are a careful tutor for {self.own.name}.", self.own.system))

    def item(self, topic: str) -> tuple[str, str]:
        """System prompt and message of one item of the list."""
        random = self.random
        subject = filled(random, random.choice(_SUBJECT), topic)
        reworded = random.random() < self.paraphrase
        text = random.choice(_LOOSE if reworded else self.wording).format(s=subject)
        if reworded and random.random() < 0.5:
            text += " " + filled(random, random.choice(_MORE), topic)
        if random.random() < self.demand:
            text += " " + random.choice(_DEMANDS if reworded else self.demands)
        if self.grading and random.random() < 0.5:
            text += f"\nA: {pasted(random, topic, 25)}\nB: {pasted(random, topic, 25)}\n{random.choice(_GRADES)}"
        return ("" if reworded and random.random() < 0.5 else self.system), text
