"""The documentation names what there is, and nothing that is not; its links lead somewhere, its examples are right."""

import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import typer

from clonewatch.adapters.mapping import presets
from clonewatch.adapters.reading import open_log
from clonewatch.cli.doctor import signals
from clonewatch.cli.main import app
from clonewatch.kernels.rarity import lower_tail
from clonewatch.lab.simulate import scenarios
from clonewatch.model.schema import RESULTS
from clonewatch.pipeline.look import look
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.shelf import Shelf
from clonewatch.ports.signal import Signal

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md")])
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
FORMATS = Shelf("clonewatch.adapters.formats", "ADAPTER")
SHELF = Shelf("clonewatch.links.signals", "SIGNAL")
SIGNALS = signals()
# Pages that tell what was, in the words of the time.
PAST = {"CHANGELOG.md"}


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def place(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text(page), flags=re.M | re.S)


def code(page: Path, language: str = "") -> list[str]:
    blocks = re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", text(page), re.M | re.S)
    return [block for of, block in blocks if of == language]


def targets(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in targets(there), target


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=place)
def test_the_index_leads_to_every_page(page: Path) -> None:
    index = DOCS / "index.md"
    assert page == index or f"]({page.relative_to(DOCS).as_posix()})" in text(index)


def test_every_picture_is_shown_and_small() -> None:
    shown = {p.name for page in PAGES for p in map(Path, re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text(page)))}
    pictures = list((DOCS / "pictures").glob("*"))
    assert {p.name for p in pictures} == shown
    assert all(p.stat().st_size < 400_000 for p in pictures)


@pytest.mark.parametrize("kind", ["link", "behaviour"])
def test_the_page_of_signals_holds_every_card_and_no_other(kind: str) -> None:
    """`make golden` writes the rows anew."""
    page = DOCS / "using" / "signals.md"
    before, after = text(page).split("\n## Behavioural tests\n")
    part = before if kind == "link" else after
    held = re.findall(r"^\| `.+\|$", part, re.M)
    rows = [f"| `{c.name}` | {' | '.join(c.card[1:])} |" for c in SIGNALS if c.kind == kind]
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        page.write_text(text(page).replace("\n".join(held), "\n".join(rows)), encoding="utf-8")
        pytest.skip("rows written anew")
    assert held == rows


def test_the_page_of_signals_names_the_weak_ones() -> None:
    page = text(DOCS / "using" / "signals.md")
    told = re.search(r"Weak signals only corroborate[^.]*\.", page)
    assert told and set(re.findall(r"`(\w+)`", told[0])) == {n for n in SHELF.names() if SHELF.load(n).weak}


FORMAT_PAGES = sorted((DOCS / "using" / "formats").glob("*.md"))


def test_every_log_format_and_preset_has_a_section_and_no_other_has() -> None:
    named = [n for page in FORMAT_PAGES for n in re.findall(r"^##? `(\w+)`$", prose(page), re.M)]
    assert sorted(named) == sorted([*FORMATS.names(), *presets()])
    index = text(DOCS / "using" / "formats.md")
    assert [p.name for p in FORMAT_PAGES if f"](formats/{p.name})" not in index] == []


@pytest.mark.parametrize("page", [p for p in FORMAT_PAGES if code(p, "json")], ids=place)
def test_doctor_says_of_the_sample_of_a_format_what_its_page_says(page: Path, tmp_path: Path) -> None:
    """`make golden` writes what it says anew."""
    (block,) = code(page, "json")
    log = tmp_path / f"{page.stem}.ndjson"
    log.write_text(block, encoding="utf-8")
    given = code(page, "toml")
    (tmp_path / "map.toml").write_text("".join(given), encoding="utf-8")
    preset = Path(page.stem) if page.stem in presets() else None
    found = look(open_log(log, mapping=tmp_path / "map.toml" if given else preset))
    families = sorted({c["family"] for c in found["signals"] if c["works"]})
    columns = [name.removeprefix("exchanges.") for name, share in found["columns"].items() if share]
    vouched = "".join(f"End-user ids: {share:.0%} {who}.\n" for who, share in found["end_users"].items())
    warned = "".join(f"Warning: {warning.partition(': ')[2]}\n" for warning in found["warnings"])
    said = (
        f"Looked at {found['rows']} rows of {', '.join(found['formats'])}; {found['rejected']} were rejected.\n"
        f"{textwrap.fill('Columns with values: ' + ', '.join(columns), 118)}\n"
        f"Independent families of evidence within reach: {len(families)} ({', '.join(families)}).\n{vouched}{warned}"
    )
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        page.write_text(re.sub(r"(?<=^```text\n).*?(?=^```$)", said, text(page), flags=re.M | re.S), encoding="utf-8")
        pytest.skip("what doctor says written anew")
    assert found["rejected"] == 0 and code(page, "text") == [said]
    assert len(block.splitlines()) == 3


def test_every_scenario_is_described() -> None:
    assert [name for name in scenarios() if f"| `{name}` |" not in text(DOCS / "scenarios.md")] == []


@pytest.mark.parametrize("table", RESULTS, ids=lambda t: t.name)
def test_every_column_of_a_result_table_is_explained(table: object) -> None:
    sections = re.split(r"^### ", text(DOCS / "using" / "scan.md"), flags=re.M)
    held = [s for s in sections if f"`{table.name}.parquet`" in s.splitlines()[0]]  # type: ignore[attr-defined]
    assert len(held) == 1
    assert [c for c in table.names if f"`{c}`" not in held[0]] == []  # type: ignore[attr-defined]


def test_the_first_rows_of_a_result_table_explain_no_column_that_is_gone() -> None:
    known = {c for t in RESULTS for c in t.names}
    result = re.search(r"^## The result$(.*?)^### `rejected", text(DOCS / "using" / "scan.md"), re.M | re.S)
    assert result
    named = {n for cell in re.findall(r"^\| (`[^|]+) \|", result[1], re.M) for n in re.findall(r"`(\w+)`", cell)}
    assert named and named <= known


def test_decisions_are_numbered_without_gaps_and_titled_by_number() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [p.name[:4] for p in pages] == [f"{i:04d}" for i in range(1, len(pages) + 1)]
    assert all(text(p).startswith(f"# {p.name[:4]}: ") for p in pages)


def test_a_decision_that_is_cited_exists() -> None:
    known = {p.name[:4] for p in (DOCS / "decisions").glob("*.md")}
    sources = [*PAGES, *(ROOT / "src").rglob("*.py")]
    cited = {n for p in sources for n in re.findall(r"decision (\d{4})", text(p))}
    assert cited and cited <= known


def test_the_table_of_how_small_a_cell_can_be_is_what_the_kernel_gives() -> None:
    page = text(DOCS / "decisions" / "0004-rarity-by-trusted-accounts.md").partition("## How small a cell can be")[2]
    head = re.search(r"^\| users u \|(.*)\|$", page, re.M)
    assert head
    shares = [float(s) / 100 for s in re.findall(r"([\d.]+) %", head[1])]
    rows = re.findall(r"^\| (\d+) \|((?: [\d.]+ \|)+)$", page, re.M)
    assert len(rows) > 5
    for users, cells in rows:
        bits = [f"{lower_tail(int(users), 0, share):.2f}" for share in shares]
        assert cells.replace("|", " ").split() == bits


def test_every_command_named_anywhere_exists() -> None:
    sources = [*PAGES, *(ROOT / "src").rglob("*.py")]
    named = {
        (place(p), n) for p in sources for n in re.findall(r"(?:`|^\s*(?:\$ )?)clonewatch ([a-z][\w-]*)", text(p), re.M)
    }
    assert {(p, n) for p, n in named if n not in COMMANDS} == set()


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_option_in_an_example_belongs_to_its_command(page: Path) -> None:
    for block in code(page):
        for line in re.findall(r"^clonewatch [a-z].+$", block, re.M):
            words = line.partition("#")[0].split()
            options = {o.partition("=")[0] for o in words if re.match(r"-{1,2}[a-z]", o)}
            command = COMMANDS[words[1]]
            command = getattr(command, "commands", {}).get(words[2], command) if len(words) > 2 else command
            known = {o for p in command.params for o in p.opts} | {"--help", "-h"}
            assert options <= known, line


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_file_of_the_source_that_a_page_names_is_there(page: Path) -> None:
    tops = "|".join(p.name for p in (ROOT / "src" / "clonewatch").iterdir() if (p / "__init__.py").is_file())
    for name in re.findall(rf"`(?:src/clonewatch/)?((?:{tops})/[\w/]+\.\w+)`", text(page)):
        if "NAME" not in name and "<" not in name:
            assert (ROOT / "src" / "clonewatch" / name).exists(), name
    for name in re.findall(r"`((?:docs|tests|evals|benchmarks|examples)/[\w/.-]+\.\w+)`", text(page)):
        if "NAME" not in name:
            assert (ROOT / name).exists(), name


def test_every_make_target_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.M))
    named = {n for page in PAGES for n in re.findall(r"(?:`|^)make ([a-z]+)", text(page), re.M)}
    assert named <= targets


@pytest.mark.parametrize(
    ("page", "attribute", "kind"),
    [("linking-signal", "SIGNAL", "link"), ("behavioural-test", "TEST", "behaviour")],
)
def test_the_example_plug_in_of_a_page_can_be_put_on_its_shelf(page: str, attribute: str, kind: str) -> None:
    block = code(DOCS / "adding" / f"{page}.md", "python")[0]
    held: dict[str, object] = {}
    exec(compile(block, page, "exec"), held)  # noqa: S102 - our own page
    plug = held[attribute]
    assert plug.signal.kind == kind and plug.signal.name in {c.name for c in SIGNALS}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("page", "file"),
    [("linking-signal", "links/signals/client.py"), ("behavioural-test", "behaviour/tests/elicitation.py")],
)
def test_the_example_plug_in_of_a_page_is_the_file_that_ships(page: str, file: str) -> None:
    source = (ROOT / "src" / "clonewatch" / file).read_text(encoding="utf-8")
    assert code(DOCS / "adding" / f"{page}.md", "python")[0] == source


@pytest.mark.parametrize(
    ("page", "kinds"), [("linking-signal", (LinkingSignal, Signal)), ("behavioural-test", (BehaviouralTest, Signal))]
)
def test_a_guide_explains_every_field_of_its_plug_in(page: str, kinds: tuple[Any, ...]) -> None:
    said = text(DOCS / "adding" / f"{page}.md")
    obvious = {"signal", "sql", "reads", "name", "kind", "card"}
    if page == "linking-signal":
        obvious |= {"denied_suggests"}  # only a test has evidence against
    named = {name for name in re.findall(r"`(\w+)`", said)}
    assert {field for kind in kinds for field in kind._fields} - obvious - named == set()


def test_the_guide_to_tests_names_every_family_of_tests() -> None:
    said = text(DOCS / "adding" / "behavioural-test.md")
    assert {f for f in {c.card.family for c in SIGNALS if c.kind == "behaviour"} if f"`{f}`" not in said} == set()


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in PAST], ids=place)
def test_no_page_says_that_accounts_were_declared_unrelated(page: Path) -> None:
    assert "declared-unrelated" not in text(page)


def test_the_exit_codes_of_the_errors_are_on_the_page_of_commands() -> None:
    from clonewatch.model.errors import ClonewatchError, TooManyRejected

    codes = {0, ClonewatchError.code, 3, TooManyRejected.code, 130}
    page = DOCS / "using" / "command-line.md"
    assert {int(n) for n in re.findall(r"^\| (\d+) \|", text(page), re.M)} == codes


def test_the_headline_figures_of_the_readme_and_of_the_limits_are_those_of_the_evaluation() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+ of [\d,]+) \| ([\d,]+ of [\d,]+) \|$", text(ROOT / "README.md"), re.M)
    assert len(rows) == 4
    third = text(ROOT / "evals" / "results" / "third_worlds.md")
    evaluation, limits = text(DOCS / "evaluation.md"), re.sub(r"\s+", " ", text(DOCS / "limits.md"))
    for found, accused in rows:
        if (found, accused) == rows[-1]:  # of the third generator
            flagged, of = found.split(" of ")
            summed = re.search(r"^\| Sum \|.*$", third, re.M)
            assert (
                summed and f"| {of} | {flagged} |" in summed[0] and f"| {accused.replace(' of ', '/')} |" in summed[0]
            )
        else:
            assert re.search(rf"\b{found}\b", evaluation) and re.search(rf"\b{accused}\b", evaluation)
        campaigns, all_of_them = found.split(" of ")
        assert f"{campaigns} of {all_of_them}" in limits
