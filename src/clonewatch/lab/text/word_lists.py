"""Word lists of the grammars. A topic cell is a domain and an aspect of it."""

DOMAINS = (
    "tomato plants", "a rental contract", "marathon training", "a Django service", "travel insurance",
    "sourdough bread", "a solar roof", "customer churn", "linear regression", "a cover letter", "wedding speeches",
    "Postgres indexes", "React components", "the French revolution", "chess openings", "tax returns",
    "a podcast script", "thermodynamics", "invoice matching", "a used bicycle", "graph algorithms", "toddler sleep",
    "a mobile game", "supply contracts", "organic chemistry", "a Rust parser", "guitar practice", "board meetings",
    "probability puzzles", "home wiring", "a science fair", "sales emails", "Kubernetes probes", "medieval trade",
    "knee pain", "a vegetable garden", "matrix inverses", "shell scripts", "a scholarship essay", "camera lenses",
    "street food", "hotel reviews", "fraud reports", "a thesis chapter", "dog training", "number theory",
    "a CSV import", "job interviews", "electric circuits", "museum tours", "cash flow", "a haiku series",
    "log parsing", "spreadsheet macros", "bus timetables", "sensor noise", "a birthday party", "genetics homework",
    "unit tests", "crop rotation", "loan interest", "a fantasy novel", "message queues", "city planning",
)  # fmt: skip
ASPECTS = (
    "cost", "timing", "common mistakes", "first steps", "safety", "error handling", "edge cases", "history",
    "a checklist", "a comparison", "performance", "wording", "naming", "structure", "legal limits", "tools",
    "measurement", "planning", "trade-offs", "maintenance", "examples", "a proof", "a summary", "scaling", "storage",
    "validation", "scheduling", "colour", "tone", "debugging", "memory use", "sampling", "packaging", "negotiation",
    "forecasting", "layout", "testing", "variables", "units", "rounding", "deadlines", "sources", "privacy",
    "accessibility", "inputs", "outputs", "limits", "symmetry", "reporting", "recovery", "migration", "ranking",
    "grouping", "rates", "exceptions", "training", "ordering", "balance", "durability", "cleaning", "search",
    "caching", "feedback", "translation",
)  # fmt: skip
NAMES = (
    "Ana", "Bilal", "Chen", "Dora", "Emeka", "Fatima", "Goran", "Hana", "Igor", "Jonas", "Kavya", "Lena", "Mateo",
    "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Samir", "Tuan", "Ulla", "Victor", "Wen", "Ximena", "Yusuf", "Zofia",
)  # fmt: skip
PLACES = (
    "Leeds",
    "Osaka",
    "Recife",
    "Utrecht",
    "Austin",
    "Hanoi",
    "Lagos",
    "Busan",
    "Cork",
    "Graz",
    "Perth",
    "Pune",
    "Lyon",
    "Izmir",
    "Quito",
    "Tampa",
)
THINGS = (
    "kettle", "notebook", "warehouse", "choir", "ferry", "router", "orchard", "clinic", "bakery", "archive",
    "pipeline", "ledger", "workshop", "balcony", "library", "battery", "festival", "queue", "harbour", "printer",
    "greenhouse", "shift", "parser", "survey", "lantern", "catalogue", "bridge", "studio", "engine", "calendar",
    "market", "tunnel",
)  # fmt: skip
VERBS = (
    "explain",
    "fix",
    "compare",
    "plan",
    "rewrite",
    "shorten",
    "check",
    "improve",
    "translate",
    "outline",
    "draft",
    "list",
    "estimate",
    "simplify",
    "debug",
    "summarise",
)
ADJECTIVES = (
    "small",
    "old",
    "noisy",
    "expensive",
    "simple",
    "weird",
    "quick",
    "shared",
    "broken",
    "rough",
    "formal",
    "friendly",
    "local",
    "hidden",
    "early",
    "quiet",
)
SHORT = (
    "continue",
    "go on",
    "Continue",
    "ok continue",
    "keep going",
    "next",
    "继续",
    "continue please",
    "more",
)
# Subjects of the kinds of prompts that have their own; all others use every domain.
DOMAINS_OF = {
    "code": (
        "a Django service", "Postgres indexes", "React components", "a Rust parser", "Kubernetes probes",
        "shell scripts", "a CSV import", "log parsing", "unit tests", "message queues", "a mobile game",
        "spreadsheet macros",
        "a REST client", "a linked list class", "git hooks", "a Docker image", "async handlers",
    ),
    "data": (
        "customer churn", "linear regression", "fraud reports", "sensor noise", "cash flow", "loan interest",
        "invoice matching", "hotel reviews data", "survey columns", "a sales dashboard", "a time series",
    ),
    "homework": (
        "probability puzzles", "number theory", "thermodynamics", "organic chemistry", "matrix inverses",
        "graph algorithms", "electric circuits", "genetics homework", "a geometry proof", "integrals", "Newton's laws",
    ),
}  # fmt: skip
