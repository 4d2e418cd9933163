"""A world of this generator: its accounts, networks, clients and topics, and their log."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.second_generator.parameters import draw_parameters
from evals.second_generator.processes import DAY, Floats, Ints, Urn, Visitors, hawkes, pick, sticks

Column = NDArray[Any]
NONE = -1
ATOMS = 16
# Where people live: code, hours ahead of UTC, dialling code.
COUNTRIES = (
    ("US", -6, "+1"), ("IN", 5.5, "+91"), ("DE", 1, "+49"), ("BR", -3, "+55"), ("GB", 0, "+44"), ("JP", 9, "+81"),
    ("FR", 1, "+33"), ("NG", 1, "+234"), ("ID", 7, "+62"), ("VN", 7, "+84"), ("PL", 1, "+48"), ("KE", 3, "+254"),
    ("MX", -6, "+52"), ("KR", 9, "+82"), ("SG", 8, "+65"), ("CA", -5, "+1"), ("AU", 10, "+61"), ("TR", 3, "+90"),
    ("UA", 2, "+380"), ("EG", 2, "+20"),
)  # fmt: skip
EGRESS = ("residential", "hosting", "vpn", "proxy", "mobile", "education", "corporate")
TASKS = (
    "software_engineering",
    "agentic_tool_use",
    "reasoning",
    "data_analysis",
    "computer_use",
    "grading",
    "sensitive_rewrite",
    "chat",
    "other",
)
CHAT, OTHER, CODE, REASON, GRADE, TOOLS = 7, 8, 0, 2, 5, 1
MAIL = ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me", "gmx.net", "naver.com", "qq.com")
SHAPES = ("first.last", "firstlast", "nick", "nick99", "initial.last", "word-word", "random")
SOURCES = ("search", "friend", "docs", "video", "newsletter", None, None)


class OtherWorld:
    """Everything drawn for one seed. Accounts are opened, then send; `second_generator.export` writes it to files.

    size: factor on the number of accounts. Times are seconds from the start of the window.
    """

    def __init__(self, seed: int, size: float, branch: int = 0) -> None:
        self.rng = np.random.default_rng([seed, branch, 77_003])
        self.size, self.parameters = size, draw_parameters(self.rng)
        self.end = self.parameters.days * DAY
        self.book: dict[str, Column] = {}
        self.log: list[dict[str, Column]] = []
        self.happened: list[tuple[float, str, int, str | None, float | None]] = []
        self.ips: list[str] = []
        self.systems: list[int] = []
        self.places: list[int] = []
        self.kinds: list[int] = []
        self._codes = 1
        self.clients: list[tuple[str, str | None, str]] = []
        self._people()
        self._subjects()

    # ---- codes and counts -----------------------------------------------------------------------------------------

    def fresh(self, n: int) -> Ints:
        """n numbers not used before in this world; hashed when written."""
        first = self._codes
        self._codes += n
        return np.arange(first, first + n, dtype=np.int64)

    def one(self) -> int:
        """One number not used before."""
        return int(self.fresh(1)[0])

    def heads(self, low: float, high: float) -> int:
        """A log-uniform count between two bounds at size 1."""
        return max(1, round(self.size * float(np.exp(self.rng.uniform(np.log(low), np.log(high))))))

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < share)

    # ---- networks -------------------------------------------------------------------------------------------------

    def addresses(self, n: int, asn: Ints, country: Ints, kind: str, near: bool = False) -> int:
        """Allocate n addresses; returns the number of the first. near: all in a few neighbouring blocks of 256."""
        first, six = len(self.ips), self.parameters.ipv6 if kind in ("residential", "mobile") else 0.0
        base = 0x0B000000 + (np.asarray(asn, dtype=np.int64) * 40_503 % 0xC0000) * 0x1000
        low = self.rng.integers(0, max(n, 64), n) if near else self.rng.integers(0, 0x1000, n)
        v6 = self.rng.random(n) < six
        for number, a, long in zip((base + low).tolist(), np.asarray(asn).tolist(), v6.tolist(), strict=True):
            b = bytearray(number.to_bytes(4, "big"))
            # No loopback, private or documentation ranges: logs do not contain them.
            b[0] += 4 if b[0] in (100, 127, 169, 172, 192, 198) else 0
            tail = int(self.rng.integers(1 << 32)) if long else 0
            six_text = f"2a{a % 256:02x}:{a // 256 % 65536:x}:{tail >> 16:x}:{tail & 65535:x}::1"
            self.ips.append(six_text if long else f"{b[0]}.{b[1]}.{b[2]}.{b[3]}")
        self.systems += np.asarray(asn).tolist()
        self.places += np.asarray(country).tolist()
        self.kinds += [EGRESS.index(kind)] * n
        return first

    def pool(self, n: int, country: int, kind: str, asn: int | None = None, near: bool = False) -> int:
        """A pool of addresses in one autonomous system; returns the number of the first."""
        system = int(self.rng.integers(1_000, 60_000)) if asn is None else asn
        return self.addresses(n, np.full(n, system), np.full(n, country), kind, near)

    def vendor(self, n: int, countries: Ints | None = None, kind: str = "residential") -> tuple[int, int]:
        """The exits of a proxy seller, over many systems and countries: first address and count."""
        where = self.rng.choice(len(COUNTRIES), n) if countries is None else self.rng.choice(countries, n)
        return self.addresses(n, self.isp[where, self.rng.integers(0, 5, n)], where, kind), n

    def _people(self) -> None:
        rng, parameters = self.rng, self.parameters
        weight = rng.gamma(0.7, 1.0, len(COUNTRIES)) + 1e-3
        self.lives = weight / weight.sum()
        self.isp = rng.integers(1_000, 60_000, (len(COUNTRIES), 5))
        self.zones = np.array([c[1] for c in COUNTRIES], dtype=np.float64)
        # Carrier-grade NAT: two carriers per country, all their users behind a few addresses.
        self.carrier_size = max(2, round(parameters.carrier_size))
        self.carriers = np.array(
            [[self.pool(self.carrier_size, c, "mobile", near=True) for _ in range(2)] for c in range(len(COUNTRIES))]
        )
        self.apps = [
            (self.pool(k, int(rng.integers(len(COUNTRIES))), "vpn", near=True), k)
            for k in rng.integers(8, 150, int(rng.integers(2, 7))).tolist()
        ]
        self.brands = rng.integers(40, 4_000, int(rng.integers(2, 6)))
        self.models = ["aster-mini", "aster-mid", "aster-max", "aster-max-think"]
        self.model_share = rng.dirichlet(np.ones(len(self.models)) * 1.5)
        self.phones = Urn(rng, 0.4, 5.0, self.one)
        names = ("python", "node", "go", "java", "rest", "browser", "mobile-app")
        for name in names:
            # TLS settings belong to a client library, not to its version.
            stacks = [
                f"t13d{rng.integers(10, 20)}{rng.integers(10, 20)}h2_{rng.integers(1 << 40):010x}" for _ in range(3)
            ]
            for version in range(int(rng.integers(3, 14))):
                number = f"{rng.integers(0, 3)}.{version}.{rng.integers(0, 9)}"
                bare = name in ("browser", "rest")
                self.clients.append(
                    (f"{name}/{number}", None if bare else f"{name}-kit {number}", str(rng.choice(stacks)))
                )
        self.popular = rng.dirichlet(np.full(len(self.clients), 0.25))

    def client(self, name: str, versions: int = 1) -> Ints:
        """Add a client program, in one or more versions, with one TLS fingerprint."""
        first, rng = len(self.clients), self.rng
        stack = f"t13d{rng.integers(10, 20)}{rng.integers(10, 20)}h2_{rng.integers(1 << 40):010x}"
        for v in range(versions):
            self.clients.append((f"{name}/{v // 10}.{v % 10}", f"{name} {v // 10}.{v % 10}", stack))
        return np.arange(first, first + versions)

    # ---- topics ---------------------------------------------------------------------------------------------------

    def _subjects(self) -> None:
        rng, parameters = self.rng, self.parameters
        cells = rng.permutation(4096)
        whole = sticks(rng, 1, 3000, np.array([parameters.topics]))[0]
        width = 48
        base = np.minimum(np.searchsorted(whole, rng.random((parameters.communities, width))), 2999)
        self.interest = cells[base]
        self.held = sticks(rng, parameters.communities, width, rng.uniform(2, 20, parameters.communities))
        self.crowd = rng.dirichlet(np.full(parameters.communities, 0.6))
        self.cell_task = rng.choice(len(TASKS), 4096, p=[0.2, 0.06, 0.09, 0.1, 0.02, 0.03, 0.01, 0.32, 0.17])
        root = Urn(rng, parameters.skeleton_discount, parameters.skeleton_strength, self.one)
        self.urns = [
            Urn(
                rng,
                min(0.97, parameters.skeleton_discount + rng.uniform(-0.2, 0.1)),
                parameters.skeleton_strength * 0.2,
                base=root,
            )
            for _ in range(parameters.communities)
        ]
        self.about: dict[int, int] = {}
        self.canon: dict[int, int] = {}
        self.echoes: dict[int, float] = {}

    def talk(self, who: Ints) -> dict[str, Column]:
        """What people write spontaneously: skeleton, exact prompt, topic, task and demand for reasoning."""
        rng, n = self.rng, len(who)
        atom = pick(rng, self.book["weights"], who)
        cell = self.book["atoms"][who, atom]
        community = self.book["community"][who]
        skeleton = np.empty(n, dtype=np.int64)
        for c in np.unique(community).tolist():
            rows = np.flatnonzero(community == c)
            skeleton[rows] = self.urns[c].draw(len(rows))
        prompt = self.fresh(n)
        again, stay = rng.random(n), rng.random(n)
        for i, s in enumerate(skeleton.tolist()):
            if s not in self.about:
                self.about[s] = int(cell[i])
                self.canon[s] = int(prompt[i])
                self.echoes[s] = float(rng.beta(0.4, 0.4 / self.parameters.echo))
            elif stay[i] < 0.85:
                cell[i] = self.about[s]
            if again[i] < self.echoes[s]:
                prompt[i] = self.canon[s]
        return {
            "template": skeleton,
            "prompt": prompt,
            "cell": cell,
            "task": np.where(rng.random(n) < 0.85, self.cell_task[cell], rng.integers(0, len(TASKS), n)),
            "elicitation": rng.beta(1.2, 14, n),
        }

    # ---- accounts -------------------------------------------------------------------------------------------------

    def open(self, role: str, n: int, campaign: str | None = None, **facts: Any) -> Ints:
        """Open unrelated accounts; `facts` override what is drawn (one value for all, or one per account)."""
        known = self._unrelated(n)
        unknown = facts.keys() - known.keys()
        if unknown:
            raise KeyError(f"no account fact {sorted(unknown)}")
        for name, value in facts.items():
            held = known[name]
            spread = np.empty(held.shape, dtype=held.dtype)
            spread[...] = value
            known[name] = spread
        known["role"] = np.full(n, role, dtype=object)
        known["campaign"] = np.full(n, campaign, dtype=object)
        homes = np.maximum(1, self.rng.poisson(known.pop("moves")) + 1)
        where, total = known["country"], int(homes.sum())
        system = np.repeat(self.isp[where, self.rng.integers(0, 5, n)], homes)
        first = self.addresses(total, system, np.repeat(where, homes), "residential")
        known["home"], known["homes"] = first + np.r_[0, np.cumsum(homes)[:-1]], homes
        signup = known["signup_net"]
        known["signup_net"] = np.where(signup == NONE, known["home"], signup)
        start = len(self.book["role"]) if self.book else 0
        self.book = {k: np.concatenate([self.book[k], v]) for k, v in known.items()} if self.book else known
        return np.arange(start, start + n)

    def _unrelated(self, n: int) -> dict[str, Column]:
        """The facts of unrelated people, one row each."""
        rng, parameters = self.rng, self.parameters
        country = rng.choice(len(COUNTRIES), n, p=self.lives)
        community = rng.choice(parameters.communities, n, p=self.crowd)
        picks = pick(rng, self.held, np.repeat(community, ATOMS)).reshape(n, ATOMS)
        cheap = rng.random(n) < parameters.cheap_phones
        prepaid = rng.random(n) < rng.uniform(0.02, 0.15)
        brand = rng.integers(0, len(self.brands), n)
        # A prepaid card's fingerprint depends on little more than its brand: some collide.
        collided = -(brand * 10_000 + rng.integers(0, self.brands[brand]) + 2)
        digits = (
            rng.integers(0, 10**parameters.phone_digits, n) if parameters.phone_digits else np.zeros(n, dtype=np.int64)
        )
        phone = [
            COUNTRIES[c][2] + (str(d).zfill(parameters.phone_digits) if parameters.phone_digits else "")
            for c, d in zip(country.tolist(), digits.tolist(), strict=True)
        ]
        old = rng.random(n) < rng.uniform(0.5, 0.95)
        created = np.where(old, -DAY * 900 * rng.beta(0.8, 1.8, n), rng.uniform(0, self.end * 0.9, n))
        return {
            "country": country,
            "community": community,
            "atoms": self.interest[community[:, None], picks],
            "weights": sticks(rng, n, ATOMS, np.full(n, parameters.taste)),
            "created": created,
            "gone": np.where(
                rng.random(n) < 0.6,
                self.end,
                np.maximum(created, 0) + DAY * parameters.churn_days * rng.weibull(0.8, n),
            ),
            "org": np.full(n, NONE),
            "declared": np.zeros(n, bool),
            "programme": np.full(n, None, object),
            "plan": rng.choice(np.array(["free", "plus", "metered"], object), n),
            "pay": np.where(prepaid, collided, self.fresh(n)),
            "pay_class": np.where(prepaid, "prepaid", np.where(rng.random(n) < 0.08, "virtual", "card")).astype(object),
            "issuer": np.where(
                prepaid, np.char.add("prepaid-", brand.astype(str)), rng.choice(["debit", "credit", "app-bank"], n)
            ).astype(object),
            "domain": rng.choice(np.array(MAIL, object), n, p=np.array([46, 15, 10, 9, 7, 5, 4, 4]) / 100),
            "shape": rng.choice(np.array(SHAPES, object), n),
            "device": np.where(cheap, self.phones.draw(n), self.fresh(n)),
            "phone": np.array(phone, object),
            "signup_net": np.full(n, NONE),
            "referrer": rng.choice(np.array(SOURCES, object), n),
            "declared_use": np.full(n, None, object),
            "permitted": np.zeros(n, bool),
            "client": rng.choice(len(self.clients[: len(self.popular)]), n, p=self.popular),
            "p_mobile": np.where(cheap, rng.beta(4, 2, n), rng.beta(0.5, 4, n)),
            "carrier": rng.integers(0, 2, n),
            "p_vpn": np.where(rng.random(n) < 0.15, rng.beta(2, 2, n), 0.0),
            "vpn": rng.integers(0, len(self.apps), n),
            "moves": rng.exponential(2.0, n),
            "evening": np.clip(rng.beta(2, 2, n) * 2 * parameters.evening, 0, 1),
            "temperature": rng.choice([np.nan, 0.0, 0.2, 0.7, 1.0], n, p=[0.5, 0.15, 0.1, 0.15, 0.1]),
            "max_tokens": rng.choice([NONE, 1024, 2048, 4096, 8192], n, p=[0.4, 0.15, 0.15, 0.2, 0.1]),
            "model": rng.choice(len(self.models), n, p=self.model_share),
            "stream": rng.random(n) < 0.6,
            "wordy": rng.lognormal(0, 0.5, n),
            "keys": 1 + (rng.random(n) < 0.15),
        }

    def zone(self, who: Ints) -> Floats:
        """Hours ahead of UTC where each account lives."""
        return np.asarray(self.zones[self.book["country"][who]])

    def where(self, who: Ints, ts: Floats, session: Ints) -> Ints:
        """The address of each request: at home, on the phone or behind a VPN, one choice per visit."""
        book, coin, pin = self.book, scatter(session, 1), scatter(session, 2)
        moved = np.minimum(
            (np.clip(ts / self.end, 0, 0.999) * book["homes"][who]).astype(np.int64), book["homes"][who] - 1
        )
        found = book["home"][who] + moved
        phone = coin < book["p_mobile"][who]
        mobile = self.carriers[book["country"][who], book["carrier"][who]] + (pin * self.carrier_size).astype(np.int64)
        app = np.array(self.apps)[book["vpn"][who]]
        hidden = (coin > 1 - book["p_vpn"][who]) & ~phone
        exits = app[:, 0] + (pin * app[:, 1]).astype(np.int64)
        return np.asarray(np.where(phone, mobile, np.where(hidden, exits, found)), dtype=np.int64)

    def visits(
        self, who: Ints, per_day: Floats | float, begin: float = 0.0, end: float | None = None
    ) -> dict[str, Column]:
        """Self-exciting visits of people between two instants, while their accounts are open."""
        book, rate = self.book, np.broadcast_to(np.asarray(per_day, dtype=np.float64), (len(who),))
        opened = np.maximum(book["created"][who], begin)
        closed = np.minimum(book["gone"][who], self.end if end is None else end)
        visitors = Visitors(rate, opened, closed, self.zone(who), book["evening"][who])
        row, ts, session, turn = hawkes(self.rng, self.parameters, visitors)
        if len(session):
            session = self.fresh(int(session.max()) + 1)[session]
        return {"account": who[row], "ts": ts, "session": session, "turn": turn}

    # ---- the log --------------------------------------------------------------------------------------------------

    def send(self, account: Ints, ts: Floats, **said: Any) -> None:
        """Log requests within the period of the log. Fields that are not given follow from the account."""
        n = len(account)
        if n == 0:
            return
        rng, book = self.rng, self.book
        row: dict[str, Column] = {"account": account, "ts": ts}
        given = {k: np.broadcast_to(np.asarray(v), (n,)) for k, v in said.items()}
        session = given.get("session")
        row["session"] = self.fresh(n) if session is None else session
        missing = {"template", "prompt", "cell", "task"} - given.keys()
        if missing:
            raise KeyError(f"a request without {sorted(missing)}")
        task = given["task"]
        row |= {
            "turn": np.zeros(n, dtype=np.int64),
            "client": book["client"][account],
            "model": book["model"][account],
            "temperature": book["temperature"][account],
            "max_tokens": book["max_tokens"][account],
            "stream": book["stream"][account],
            "n": np.ones(n, dtype=np.int64),
            "tools_count": np.zeros(n, dtype=np.int64),
            "system": np.full(n, NONE),
            "tools": np.full(n, NONE),
            "format": np.full(n, NONE),
            "end_user": np.full(n, NONE),
            "key": rng.integers(0, book["keys"][account]),
            "status": np.where(rng.random(n) < self.parameters.errors, rng.choice([429, 500, 529], n), 200),
            "channel": np.zeros(n, dtype=np.int64),
            "batch": np.zeros(n, bool),
            "elicitation": rng.beta(1.2, 14, n),
            "harvest": np.zeros(n, bool),
            "input_tokens": np.maximum(8, rng.gamma(0.9, 900 * book["wordy"][account])),
            "output_tokens": np.maximum(1, rng.gamma(1.1, np.where(np.isin(task, (REASON, CODE)), 500, 220))),
        } | given
        if "net" not in row:
            row["net"] = self.where(account, ts, row["session"])
        inside = (ts >= np.maximum(0, book["created"][account])) & (ts < self.end)
        self.log.append({k: v[inside] for k, v in row.items()})

    def chat(self, who: Ints, per_day: Floats | float, **said: Any) -> None:
        """Log ordinary chats of these accounts."""
        visit = self.visits(who, per_day)
        self.send(**(visit | self.talk(visit["account"]) | said))

    def volume(self, n: int, middle: float) -> Floats:
        """Mean requests per day of n people: log-normal, some send a hundred times as much as others."""
        return np.minimum(middle * self.rng.lognormal(0, self.parameters.volume_spread, n), 400.0)


def scatter(code: Ints, salt: int) -> Floats:
    """A number in [0, 1) for each code, the same for equal codes (SplitMix64's finaliser).

    >>> bool(0 <= scatter(np.array([5]), 1)[0] < 1)
    True
    """
    return np.asarray((mix(code, salt) >> np.uint64(11)) / float(1 << 53), dtype=np.float64)


def mix(code: Ints, salt: int) -> NDArray[np.uint64]:
    """A 64-bit hash of each code."""
    x = code.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % (1 << 64))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
