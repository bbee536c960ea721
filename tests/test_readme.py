"""What the README tells a stranger to type is run on a clean machine, and what every page links to is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RUN_IN_CI = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
PAGES = [
    ROOT / "README.md",
    ROOT / "model" / "README.md",
    ROOT / "requirements" / "README.md",
    *(ROOT / "docs").glob("*.md"),
]


def commands() -> list[str]:
    """Every line of the README's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))


def links() -> list[tuple[Path, str]]:
    """Every link of a page to another page, or to a heading."""
    found = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    return sorted({(page, target) for page, target in found if "://" not in target})


@cache
def anchors(page: Path) -> frozenset[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_is_run_in_ci(command: str) -> None:
    assert any(line == command or line.startswith(f"{command} ") for line in RUN_IN_CI)


def test_the_readme_has_commands_to_run() -> None:
    assert commands()[:2] == ["make up", "make demo"]


@pytest.mark.parametrize(
    ("page", "target"), [pytest.param(*link, id=f"{link[0].relative_to(ROOT)}-{link[1]}") for link in links()]
)
def test_what_a_page_links_to_is_there(page: Path, target: str) -> None:
    file, _, anchor = target.partition("#")
    where = (page.parent / file).resolve() if file else page
    assert where.exists()
    assert not anchor or anchor in anchors(where)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_some_other_page_leads_to_every_page(page: Path) -> None:
    leading = {(other.parent / target.partition("#")[0]).resolve() for other, target in links() if other != page}
    assert page in leading
