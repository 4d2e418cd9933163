"""The public tables: `clonewatch.exchange.v1` as input, the tables of a scan as output.

Types are named as in Arrow (`string`, `int32`, `timestamp`, ...); `kernels.arrow` turns a table into an Arrow schema.
Only three exchange columns are required. A missing value lowers confidence and never raises suspicion.
"""

from typing import NamedTuple

VERSION = "clonewatch.exchange.v1"

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
CHANNELS = ("direct", "cloud", "aggregator", "console")
OPERATIONS = ("chat", "completion", "embedding", "batch")
# Who vouches for an end-user id: a signature that the client cannot forge, the gateway, or nobody but the client.
END_USER_PROVENANCE = ("signed", "gateway", "claimed")
EGRESS = ("residential", "hosting", "vpn", "proxy", "tor", "mobile", "education", "corporate")
EVENT_KINDS = ("ban", "unban", "model_release", "outage", "appeal_upheld", "appeal_rejected", "key_leak")
SKETCH_SIZE = 64


class Column(NamedTuple):
    """One column: its name, Arrow type name, meaning, and whether a row without it is rejected."""

    name: str
    type: str
    meaning: str
    required: bool = False


class Table(NamedTuple):
    """A named table and its columns, in order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)


EXCHANGES = Table(
    "exchanges",
    (
        Column("exchange_id", "string", "id of the call; rows of one call are merged and counted", True),
        Column("ts", "timestamp", "request arrival, microseconds UTC", True),
        Column("account_id", "string", "billing account or project that owns the key", True),
        Column("org_id", "string", "declared organisation"),
        Column("api_key_id", "string", "key"),
        Column("end_user_id", "string", "customer-supplied safety identifier"),
        Column("end_user_provenance", "string", "who vouches for end_user_id: signed, gateway or claimed"),
        Column("session_id", "string", "conversation or trace"),
        Column("turn", "int16", "0-based turn in the session"),
        Column("channel", "string", "direct, cloud, aggregator or console"),
        Column("operation", "string", "chat, completion, embedding or batch"),
        Column("model", "string", "model that answered"),
        Column("status", "int16", "HTTP status"),
        Column("stop_reason", "string", "why the answer ended"),
        Column("input_tokens", "int32", "tokens in"),
        Column("output_tokens", "int32", "tokens out"),
        Column("reasoning_tokens", "int32", "tokens of hidden reasoning"),
        Column("cached_tokens", "int32", "tokens read from a prompt cache"),
        Column("latency_ms", "int32", "milliseconds to the full answer"),
        Column("stream", "bool", "streaming requested"),
        Column("logprobs", "bool", "log-probabilities requested"),
        Column("max_tokens", "int32", "request parameter"),
        Column("temperature", "float32", "request parameter"),
        Column("top_p", "float32", "request parameter"),
        Column("n", "int16", "answers requested"),
        Column("tools_count", "int16", "tools offered to the model"),
        Column("client_ip", "string", "raw IPv4/IPv6 or an opaque keyed hash"),
        Column("asn", "int32", "autonomous system number"),
        Column("country", "string", "ISO 3166-1 alpha-2"),
        Column("egress", "string", "residential, hosting, vpn, proxy, tor, mobile, education or corporate"),
        Column("user_agent", "string", "client build"),
        Column("tls_fingerprint", "string", "JA4"),
        Column("sdk", "string", "SDK and version"),
        Column("system_hash", "uint64", "keyed hash of the normalised system prompt"),
        Column("tools_hash", "uint64", "keyed hash of the tool schemas"),
        Column("template_id", "uint64", "keyed hash of the prompt skeleton"),
        Column("prompt_id", "uint64", "keyed hash of the normalised last user message"),
        Column("format_hash", "uint64", "keyed hash of the forced output format"),
        Column("sketch", "list<uint32>", "MinHash of the prompt's word shingles, 64 values"),
        Column("cell", "int32", "fine topic cell of the prompt, a few thousand cells"),
        Column("task", "string", "what the prompt asks for: one of TASKS"),
        Column("elicitation", "float32", "0..1, how strongly the prompt asks for a reasoning trace"),
        Column("signature_id", "string", "reasoning signature redeemed here"),
        Column("signature_session_id", "string", "session the signature was issued in"),
        Column("system_text", "string", "raw system prompt; read by fingerprinting only"),
        Column("messages", "string", "raw messages as JSON; read by fingerprinting only"),
        Column("response_text", "string", "raw answer; read by fingerprinting only"),
    ),
)

TEXT_COLUMNS = ("system_text", "messages", "response_text")
FINGERPRINT_COLUMNS = (
    "system_hash",
    "tools_hash",
    "template_id",
    "prompt_id",
    "format_hash",
    "sketch",
    "cell",
    "task",
    "elicitation",
)

ACCOUNTS = Table(
    "accounts",
    (
        Column("account_id", "string", "key", True),
        Column("created_at", "timestamp", "sign-up"),
        Column("org_id", "string", "organisation"),
        Column("org_declared", "bool", "whether the organisation is contractual or verified"),
        Column("anchor", "bool", "your trusted set: aged, verified, long-paid or under contract"),
        Column("programme", "string", "education, research, start-up..."),
        Column("plan", "string", "plan name"),
        Column("payment_fingerprint", "string", "keyed hash of the payment instrument"),
        Column("payment_class", "string", "card, prepaid, virtual, invoice or marketplace"),
        Column("issuer_class", "string", "class of the card issuer"),
        Column("billing_country", "string", "ISO 3166-1 alpha-2"),
        Column("email_domain", "string", "domain of the sign-up address"),
        Column("email_pattern", "string", "shape of the sign-up address"),
        Column("device_fingerprint", "string", "keyed hash of the sign-up device"),
        Column("phone_prefix", "string", "prefix of the verified number"),
        Column("signup_ip", "string", "address at sign-up"),
        Column("verified_at", "timestamp", "when the account was verified, if later than sign-up"),
        Column("verification_ip", "string", "address at verification"),
        Column("verification_device", "string", "keyed hash of the device at verification"),
        Column("referrer", "string", "referral code or source"),
        Column("declared_use", "string", "reseller, evaluation, annotation, research or synthetic_data"),
        Column("training_permitted", "bool", "the contract allows training on outputs: decisive exculpation"),
    ),
)

# Newer names of input columns, read as the ones that the schema has always had.
ALSO_NAMED = {"accounts": {"trusted": "anchor"}}

EVENTS = Table(
    "events",
    (
        Column("ts", "timestamp", "when", True),
        Column("kind", "string", "one of EVENT_KINDS", True),
        Column("account_id", "string", "the account it happened to"),
        Column("model", "string", "the model it is about"),
        Column("until", "timestamp", "end, for an outage"),
    ),
)

LABEL_ACCOUNTS = Table(
    "labels/accounts",
    (
        Column("account_id", "string", "key", True),
        Column("campaign_id", "string", "the campaign it works for, or null"),
        Column("role", "string", "member, proxy_customer, benign, or a look-alike's name", True),
    ),
)

LABEL_EXCHANGES = Table(
    "labels/exchanges",
    (
        Column("exchange_id", "string", "a harvested exchange", True),
        Column("campaign_id", "string", "the campaign that harvested it", True),
    ),
)

# ---- what a scan writes -------------------------------------------------------------------------------------------

CAMPAIGNS = Table(
    "campaigns",
    (
        Column("campaign_id", "string", "stable id within the scan"),
        Column(
            "score",
            "float64",
            "families of tests added up, less what speaks against, in bits; without links; no probability",
        ),
        Column(
            "threshold_ratio",
            "float64",
            "smallest ratio of a criterion of the verdict to its threshold; 1 at the threshold",
        ),
        Column(
            "p_value", "float64", "conformal: how often linked groups of honest logs come this close to the threshold"
        ),
        Column("p_n", "int64", "calibration groups behind the p-value; it cannot fall below 1/(p_n + 1)"),
        Column("e_value", "float64", "conformal e-value at the threshold; may be averaged over windows"),
        Column(
            "stability", "float64", "mean overlap (Jaccard) with the nearest group under other clustering seeds, 0..1"
        ),
        Column(
            "sub_clusters", "int64", "clusters without a shared attribute, merged because they work one list; 1 if none"
        ),
        Column("merge_p_value", "float64", "largest p-value of those merges; null if none"),
        Column(
            "flagged",
            "bool",
            "every criterion is met, and the flag stays when false discoveries in the scan are bounded",
        ),
        Column(
            "outcome",
            "string",
            "flagged; review: not flagged, and worth a look and a question; listed: linked, and not worth a look",
        ),
        Column("rank", "int64", "order in which to look: 1 is first; flagged groups first, then those for review"),
        Column(
            "odds_bits",
            "float64",
            "log2 of the posterior odds that one operator covertly runs it; prior, look-alike and answers counted in",
        ),
        Column(
            "limiting_criterion",
            "string",
            "criterion with the smallest ratio: linkage, third_family, sum_of_families or deception",
        ),
        Column("limiting_ratio", "float64", "that criterion's value in units of its threshold; 0 where nothing shows"),
        Column("question", "string", "id of the question that would settle it best; null where none is left to ask"),
        Column(
            "look_alike", "string", "id of the question whose innocent case it resembles, which moved it down; or null"
        ),
        Column("answered", "list<answer>", "answers that moved its odds: question, yes, bits, at, by, note"),
        Column("evidence_odds_bits", "float64", "the odds on the evidence alone: without look-alike and answers"),
        Column("families", "list<string>", "families of evidence that count, of links and of tests"),
        Column(
            "ruled",
            "list<ruling>",
            "the ruling about it, if any: ruling, question, case, scope, until, at, by, note, whether it withholds the"
            " group from flags and review, the bits by which that moved its odds, and the news that keep it from that",
        ),
        Column(
            "level", "string", "evidence ladder: L0 anomaly, L1 linked, L2 coordinated evasion, L3 extraction pattern"
        ),
        Column("accounts", "int64", "member accounts"),
        Column("exchanges", "int64", "exchanges of the member accounts in the window"),
        Column("harvested_exchanges", "int64", "exchanges of its members attributed to it (posterior >= 0.5)"),
        Column(
            "attributed_by",
            "string",
            "what told harvested exchanges from others: attributes, the group's own content; shape, they ask as"
            " harvests do; accounts, nothing did, so that all exchanges of its accounts are attributed, those of a"
            " proxy's customers too",
        ),
        Column("first_ts", "timestamp", "first harvested exchange"),
        Column("last_ts", "timestamp", "last harvested exchange"),
        Column("visible_ts", "timestamp", "when it could first be seen; null if unknown"),
        Column("visible_exchanges", "int64", "harvested exchanges before visible_ts"),
        Column(
            "visible_is_first_flag",
            "bool",
            "visible_ts is the hour at which a scan would first have flagged it; else an estimate from counts",
        ),
        Column("tasks", "map<string,int64>", "harvested exchanges by task"),
        Column("evidence", "list<evidence>", "signal, family, bits, reason"),
    ),
)

MEMBERS = Table(
    "members",
    (
        Column("campaign_id", "string", "campaign"),
        Column("account_id", "string", "account"),
        Column("membership", "float64", "0..1"),
        Column("role", "string", "core, fringe or proxy_customer"),
        Column("harvested_exchanges", "int64", "its exchanges attributed to the campaign"),
        Column("exchanges", "int64", "all its exchanges in the window"),
        Column("first_ts", "timestamp", "first of them"),
        Column("last_ts", "timestamp", "last of them"),
        Column("created_ts", "timestamp", "sign-up; null if unknown"),
        Column("banned_ts", "timestamp", "first ban among the events; null if none"),
        Column("unbanned_ts", "timestamp", "first time that a ban of it was lifted; null if none"),
    ),
)

ATTRIBUTION = Table(
    "attribution",
    (
        Column("exchange_id", "string", "exchange of a linked account"),
        Column("campaign_id", "string", "campaign"),
        Column(
            "posterior", "float32", "0..1, that it was harvested for the campaign; below 0.5 throughout unless flagged"
        ),
        Column("account_id", "string", "the account that sent it"),
    ),
)

EVIDENCE = Table(
    "evidence",
    (
        Column("campaign_id", "string", "campaign"),
        Column("signal", "string", "name of the linking signal or behavioural test: a module of that name"),
        Column("family", "string", "evidence family; only different families are independent"),
        Column("kind", "string", "link, behaviour, support (adds nothing to the score by itself) or against"),
        Column("bits", "float64", "strength in bits; negative for evidence against"),
        Column("value", "float64", "the measured statistic"),
        Column("reference", "float64", "the same statistic among reference communities of this log; null if none"),
        Column("n", "int64", "observations behind the statistic"),
        Column("reason", "string", "what was measured, in a sentence"),
        Column("innocent", "string", "the innocent explanation"),
        Column("ruled_out", "string", "why that explanation does not apply here, or that it was not ruled out"),
        Column("exchange_ids", "list<string>", "a few exchanges it rests on"),
    ),
)

ATTRIBUTES = Table(
    "attributes",
    (
        Column("campaign_id", "string", "campaign"),
        Column("signal", "string", "linking signal"),
        Column("attribute", "string", "the attribute, keyed and in hex"),
        Column("entities", "int64", "entities of the cluster that carry it"),
        Column("users", "int64", "entities of the whole log that carry it"),
        Column("trusted", "int64", "trusted entities that carry it"),
        Column("weight", "float64", "bits; how surprising it is that so few trusted entities carry it"),
        Column("exchanges", "int64", "exchanges in the cluster that carry it; 0 for account facts"),
    ),
)

ATTRIBUTE_ACCOUNTS = Table(
    "attribute_accounts",
    (
        Column("campaign_id", "string", "campaign"),
        Column("signal", "string", "linking signal"),
        Column("attribute", "string", "the attribute, keyed and in hex"),
        Column("account_id", "string", "an account that carries it"),
    ),
)

TIMELINE = Table(
    "timeline",
    (
        Column("campaign_id", "string", "campaign"),
        Column("day", "timestamp", "start of the UTC day"),
        Column("task", "string", "task label, or 'unknown'"),
        Column("exchanges", "int64", "exchanges of member accounts"),
        Column("harvested", "int64", "exchanges attributed to the campaign"),
        Column("accounts", "int64", "member accounts active that day"),
    ),
)

MODELS = Table(
    "models",
    (
        Column("campaign_id", "string", "campaign"),
        Column("day", "timestamp", "start of the UTC day"),
        Column("model", "string", "the model that answered, keyed and in hex; null if unknown"),
        Column("exchanges", "int64", "exchanges of member accounts"),
        Column("harvested", "int64", "exchanges attributed to the campaign"),
        Column("accounts", "int64", "member accounts that used it that day"),
    ),
)

RESULTS = (CAMPAIGNS, MEMBERS, ATTRIBUTION, EVIDENCE, ATTRIBUTES, ATTRIBUTE_ACCOUNTS, TIMELINE, MODELS)
