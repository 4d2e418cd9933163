"""Who sent which prompt: tables for the signals that compare entities by the prompts they share."""

from clonewatch.ports.engine import Query

# A prompt that more entities sent is a greeting or a benchmark, and no evidence about any two of them.
_KNOWN_USERS = 5_000

ENTITIES = Query(
    "prompt_entities",
    ("exchanges", "owners"),
    "WITH used AS (SELECT prompt FROM exchanges WHERE prompt IS NOT NULL GROUP BY prompt"
    " HAVING MIN(account) <> MAX(account))"
    " SELECT x.prompt, o.entity, COUNT(*) AS n FROM exchanges x JOIN used u ON u.prompt = x.prompt"
    " JOIN owners o ON o.account = x.account GROUP BY x.prompt, o.entity",
)
SHARED = Query(
    "shared_prompts",
    ("prompt_entities",),
    "SELECT prompt, COUNT(*) AS users FROM prompt_entities GROUP BY prompt HAVING COUNT(*) BETWEEN 2 AND $most",
    {"most": _KNOWN_USERS},
)
STEPS = (ENTITIES, SHARED)
