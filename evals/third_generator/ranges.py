"""Every range the generator draws from, with its source.

Sources: `trace` is a public trace (read, not copied), `report` a public report on campaigns, `assumed` our own guess.
Ranges are (low, high); a world draws once from each. "log-uniform" is marked where it applies.
"""

# ---- the log: assumed, bounded by what two cores scan in a minute ----
HONEST_ACCOUNTS = (1500, 8000)  # log-uniform
DAYS = (21, 44)  # report: the longest dated campaign lasted 44 days
CAMPAIGNS = 3  # at most; zero to three equally likely
MEMBERS = (40, 600)  # log-uniform; report: 273 to 25,000, the low end is what a log of this size can hold
HARVEST = (2_000, 30_000)  # exchanges per campaign, log-uniform; report: 1,000 curated traces already help a student
LEAST_PER_MEMBER = 8  # assumed: fewer would not pay for the account
CROWDS = 12  # of the kinds in crowds.py

# ---- people ----
SESSIONS_MEDIAN = (1.5, 4.0)  # trace, news comments: median 1, 75 % at 3 per account
SESSIONS_SIGMA = (
    1.0,
    1.4,
)  # trace, news comments: ln(42 / 1) / 2.33 = 1.6 at the 99th percentile; lower, as logs are longer
MOST_SESSIONS = 150  # bound on one account, for size
TURN_STOP = (0.45, 0.65)  # trace, RAGPulse: 59 % of sessions have one request, 1.78 on average
GAP_MEDIAN, GAP_SIGMA = 40.0, 1.15  # seconds; trace, RAGPulse: quartiles 23, 40, 89
WORDS_MEDIAN, WORDS_SIGMA = 16.0, 1.15  # trace, prompts people wrote: quantiles 4, 9, 16, 46, 257
MOST_WORDS = 220  # bound, for size; about the 94th percentile of the same prompts
LOWER_START = 0.09  # trace, prompts people wrote: 8.8 % start in lower case
NO_STOP = 0.40  # trace, prompts people wrote: 39.8 % end without a full stop
TYPO = (0.0, 0.04)  # per word and person; assumed
COMMON_FIRST = 0.03  # trace, shared chats: 1.9 to 4.5 % of first prompts repeat exactly
CONTINUE = 0.038  # trace, shared chats: 3.8 % of turns repeat exactly, mostly "continue"
RETRY = (0.01, 0.06)  # of requests sent again unchanged or nearly; trace: 0.3 to 10 % of prompts repeat exactly
FAILED = (0.002, 0.02)  # of requests that answer 429 or 500; assumed
WEEKEND = 0.78  # trace, RAGPulse
# Share of requests by local hour from 0; trace, RAGPulse, turned so that its trough lies at 4 in the morning.
HOURS = (
    0.0450, 0.0151, 0.0093, 0.0035, 0.0028, 0.0031, 0.0049, 0.0152, 0.0325, 0.0438, 0.0626, 0.0637,
    0.0538, 0.0595, 0.0674, 0.0683, 0.0628, 0.0533, 0.0612, 0.0649, 0.0529, 0.0526, 0.0560, 0.0457,
)  # fmt: skip
ANSWER_MEDIAN, ANSWER_SIGMA = 200.0, 0.9  # tokens; trace, Azure conversations and RAGPulse: medians 129 and 234
CARRIER_USERS = 30  # people behind one mobile address; assumed
NEW_ACCOUNTS = (0.1, 0.45)  # of people who signed up during the log; assumed

# ---- businesses ----
BUSINESSES = (0.01, 0.04)  # of the honest accounts; assumed
CALLS_MEDIAN, CALLS_SIGMA = 90.0, 1.0  # over the log. trace, ServeGen: 38,000 a day, far larger tenants; scaled down
MOST_CALLS = 1200
DUTY = (0.07, 0.41)  # of ten-minute windows in use; trace, ServeGen: medians by model
FLAT = 0.12  # of businesses without a daily rhythm; trace, ServeGen: 8 to 24 %
FIXED_LENGTH = 0.30  # of clients with one exact length in over 10 % of requests; trace, ServeGen

# ---- coding agents ----
AGENT_CALLS_MEDIAN, AGENT_CALLS_SIGMA = (
    22.0,
    0.8,
)  # requests per session; trace: quartiles 17, 44, 90, scaled down by half
AGENT_GAP_MEDIAN, AGENT_GAP_SIGMA = 17.0, 1.3  # seconds; trace: quartiles 11, 17, 38
HARNESS_VERSIONS = (4, 12)  # in use at once; trace: a release every 22 hours, the top size has 3.5 % of sessions

# ---- campaigns: knobs named in the threat note; the ranges are assumed unless marked ----
OBTAINED = ("bulk", "aged", "bought", "resold")
AGED_MEDIAN_DAYS, AGED_P90_DAYS = 22.0, 438.0  # trace: sign-up to first act in a real ring of accounts
AGED_MOST_DAYS = 1500.0  # bound: the service is no older
PAYMENTS = ("few_cards", "virtual", "prepaid", "own_card", "mixed")
EGRESS = ("hosting", "residential", "pool")
DISPATCH = ("equal", "uneven", "sticky", "sharded")
COVER = (0.0, 0.6)  # share of a member's exchanges that are ordinary
PARAPHRASE = (0.0, 1.0)  # share of prompts reworded
DEMAND = (0.0, 1.0)  # share of prompts that ask for the reasoning
ROLLOUTS = (1, 6)  # answers to the same prompt; one in 60 % of campaigns
BANNED = 0.5  # share of campaigns that lose accounts during the log
JUMP = 0.4  # share of campaigns that move to the new model; report: half of the traffic within 24 hours
POOL_CUSTOMERS = (30, 200)  # honest accounts behind the same proxies; report: one network mixed both

# ---- what a log does not contain: probability that it is missing; assumed ----
MISSING = {
    "trusted": 0.35, "payment": 0.3, "events": 0.3, "address": 0.25, "hashed address": 0.3, "device": 0.4,
    "e-mail": 0.3,
    "network": 0.3, "client": 0.25, "tls": 0.5, "session": 0.15, "parameters": 0.3, "latency": 0.3, "sign-up": 0.1,
    "key": 0.4, "country": 0.3,
}  # fmt: skip
TRUSTED = (0.04, 0.35)  # share of honest accounts older than the log that are marked trusted
