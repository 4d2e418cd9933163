"""Checks a built documentation site: links lead somewhere, and a browser that shows it fetches nothing from elsewhere.

Run it as `python .ci/check_site.py site`.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# Elements whose address a browser fetches by itself; a link that a person may follow is none.
FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
# Of `link`: these name a page, and fetch nothing.
NAMED = {"prev", "next", "canonical", "alternate"}
# The theme fetches a script from elsewhere for pages that hold one of these.
FETCHES = {"mermaid", "glightbox", "arithmatex", "pyodide"}


class Page(HTMLParser):
    """One page. links: addresses it links to. fetched: addresses that a browser fetches. ids: where a link may lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.classes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses and the names of one element."""
        held = {name: value or "" for name, value in attrs}
        self.ids |= {held[name] for name in ("id", "name") if name in held}
        self.classes |= set(held.get("class", "").split())
        if tag == "a" and "href" in held:
            self.links.append(held["href"])
        elif tag in FETCHED and FETCHED[tag] in held:
            named = NAMED & set(held.get("rel", "").split())
            (self.links if named else self.fetched).append(held[FETCHED[tag]])


class Problem(NamedTuple):
    """Where, and what is wrong there."""

    page: str
    what: str


def problems(site: Path) -> list[Problem]:
    """Everything that is wrong with a site. Links to other hosts are not followed."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [Problem(site.name, "there is no page")]
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        away = [target for target in page.fetched if urlsplit(target).netloc]
        found += [Problem(name, f"fetches {target}") for target in away]
        kinds = sorted(FETCHES & page.classes)
        found += [Problem(name, f"holds {kind}, for which the theme fetches a script") for kind in kinds]
        # The page for addresses that do not exist is shown at any depth: its links start at the root.
        if name != "404.html":
            found += [Problem(name, said) for t in (*page.links, *page.fetched) if (said := _broken(path, t, pages))]
    for style in site.rglob("*.css"):
        away = re.findall(r"(?:url\(|@import )\s*[\"']?((?:https?:)?//[^\"')]+)", style.read_text(encoding="utf-8"))
        found += [Problem(style.name, f"fetches {target}") for target in away]
    return found


def _broken(path: Path, target: str, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere; nothing if it leads somewhere, or to another host."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return ""
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    there = there / "index.html" if there.is_dir() else there
    if not there.is_file():
        return f"leads to {target}, which is not there"
    if parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].ids:
        return f"leads to {target}, where nothing has that name"
    return ""


def main(site: Path) -> int:
    """Print every problem; 1 if there is one."""
    found = problems(site)
    for problem in found:
        print(f"{problem.page}: {problem.what}")
    print(f"{len(list(site.rglob('*.html')))} pages, {len(found)} problems")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
