"""Tables that several behavioural tests read: the slice counted by cell, by prompt and by time."""

from clonewatch.ports.engine import Query, Step

_MINUTE = 60_000_000
# A group is tested without one in so many of its entities, those that sent most of its exchanges: one busy account
# among forty others must not speak for them.
_HEAVY = 10
# The slices without those entities, as a source of rows, and the tables that it reads.
USUAL = (
    "(SELECT s.* FROM slices s LEFT JOIN heavy_senders h ON h.cluster = s.cluster AND h.entity = s.entity"
    " WHERE h.entity IS NULL)"
)
USUAL_TABLES = ("slices", "heavy_senders")
HEAVY_SENDERS = Query(
    "heavy_senders",
    ("slices",),
    "SELECT cluster, entity FROM (SELECT cluster, entity,"
    " ROW_NUMBER() OVER (PARTITION BY cluster ORDER BY n DESC, entity) AS place,"
    " COUNT(*) OVER (PARTITION BY cluster) AS entities"
    " FROM (SELECT cluster, entity, COUNT(*) AS n FROM slices GROUP BY cluster, entity) c) p"
    f" WHERE {_HEAVY} * (place - 1) < entities",
)


def of_clusters(celled: bool) -> tuple[Step, ...]:
    """The steps that count the slices. celled: the log has topic cells; without them, all exchanges are one topic."""
    return (
        HEAVY_SENDERS,
        Query(
            "slice_sizes",
            USUAL_TABLES,
            "SELECT cluster, COUNT(*) AS entities, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n) AS n2 FROM ("
            f"SELECT cluster, entity, COUNT(*) AS n FROM {USUAL} u GROUP BY cluster, entity) s GROUP BY cluster",
        ),
        Query(
            "slice_cells",
            USUAL_TABLES,
            "SELECT cluster, cell, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n) AS n2 FROM ("
            f"SELECT cluster, COALESCE(cell, -1) AS cell, entity, COUNT(*) AS n FROM {USUAL} u"
            " WHERE cell IS NOT NULL OR NOT $celled GROUP BY cluster, COALESCE(cell, -1), entity) s"
            " GROUP BY cluster, cell",
            {"celled": celled},
        ),
        Query(
            "slice_prompts",
            USUAL_TABLES,
            "SELECT cluster, prompt, COUNT(*) AS entities, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n) AS n2 FROM ("
            f"SELECT cluster, prompt, entity, COUNT(*) AS n FROM {USUAL} u WHERE prompt IS NOT NULL"
            " GROUP BY cluster, prompt, entity) s GROUP BY cluster, prompt",
        ),
        # Pairs of exchanges by different entities about one cell: pairs with the same prompt are compared with these.
        Query(
            "slice_cell_pairs",
            ("slice_cells",),
            "SELECT cluster, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n - n2) AS pairs FROM slice_cells GROUP BY cluster",
        ),
        Query(
            "slice_prompt_pairs",
            ("slice_prompts",),
            "SELECT cluster, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n - n2) AS pairs FROM slice_prompts GROUP BY cluster",
        ),
        Query(
            "slice_bins",
            USUAL_TABLES,
            f"SELECT cluster, bin, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n) AS n2 FROM ("
            f"SELECT cluster, entity, CAST(FLOOR(ts / {10 * _MINUTE}) AS BIGINT) AS bin, COUNT(*) AS n FROM {USUAL} u"
            f" GROUP BY cluster, entity, CAST(FLOOR(ts / {10 * _MINUTE}) AS BIGINT)) s GROUP BY cluster, bin",
        ),
    )


def of_background(celled: bool) -> tuple[Step, ...]:
    """The same counts among unlinked entities: how often unrelated accounts ask the same question."""
    return (
        Query(
            "background_cells",
            ("background",),
            "SELECT task, cell, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n) AS n2 FROM ("
            "SELECT COALESCE(task, -1) AS task, COALESCE(cell, -1) AS cell, entity, COUNT(*) AS n FROM background"
            " WHERE cell IS NOT NULL OR NOT $celled GROUP BY COALESCE(task, -1), COALESCE(cell, -1), entity) s"
            " GROUP BY task, cell",
            {"celled": celled},
        ),
        Query(
            "background_tasks", ("background_cells",), "SELECT task, SUM(n) AS n FROM background_cells GROUP BY task"
        ),
        # Chance that two exchanges of these tasks are about the same cell.
        Query(
            "background_overlap",
            ("background_cells", "background_tasks"),
            "SELECT a.task, b.task AS other, SUM(CAST(a.n AS DOUBLE) / t.n * b.n / u.n) AS overlap FROM"
            " background_cells a"
            " JOIN background_cells b ON b.cell = a.cell JOIN background_tasks t ON t.task = a.task"
            " JOIN background_tasks u ON u.task = b.task GROUP BY a.task, b.task",
        ),
        Query(
            "background_prompts",
            ("background",),
            "SELECT prompt, SUM(n) AS n, SUM(CAST(n AS DOUBLE) * n) AS n2 FROM ("
            "SELECT prompt, entity, COUNT(*) AS n FROM background WHERE prompt IS NOT NULL"
            " AND (cell IS NOT NULL OR NOT $celled) GROUP BY prompt, entity) s GROUP BY prompt",
            {"celled": celled},
        ),
        Query(
            "background_pairs",
            ("background_cells", "background_prompts"),
            "SELECT c.pairs AS same_cell, p.pairs AS same_prompt FROM"
            " (SELECT SUM(CAST(n AS DOUBLE) * n - n2) AS pairs FROM ("
            "SELECT cell, SUM(n) AS n, SUM(n2) AS n2 FROM background_cells GROUP BY cell) s) c,"
            " (SELECT SUM(CAST(n AS DOUBLE) * n - n2) AS pairs FROM background_prompts) p",
        ),
    )
