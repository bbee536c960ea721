"""What README and tutorial tell a stranger to type is run on a clean machine, and every page that is named is there."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
RUN_IN_CI = [re.sub(r"^\s*(in_time \d+ )?", "", line) for line in (ROOT / ".ci" / "run").read_text().splitlines()]
DOCS = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "packages/localcloud" / "docs").glob("*.md")])
PAGES = [README, *(ROOT / room / "README.md" for room in ("model", "requirements", "packages/localcloud")), *DOCS]


def commands(page: Path) -> list[str]:
    """Every line of the page's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
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


@pytest.mark.parametrize("command", dict.fromkeys(commands(README) + commands(TUTORIAL)))
def test_a_command_for_a_stranger_is_run_in_ci(command: str) -> None:
    assert any(line == command or line.startswith(f"{command} ") for line in RUN_IN_CI)


def test_the_readme_is_short_and_has_two_commands() -> None:
    assert commands(README) == ["make up", "make demo"]
    assert len(README.read_text().splitlines()) <= 150
    assert len(commands(TUTORIAL)) > len(commands(README))


@pytest.mark.parametrize(
    ("page", "target"), [pytest.param(*link, id=f"{link[0].relative_to(ROOT)}-{link[1]}") for link in links()]
)
def test_what_a_page_links_to_is_there(page: Path, target: str) -> None:
    file, _, anchor = target.partition("#")
    where = (page.parent / file).resolve() if file else page
    assert where.exists()
    assert not anchor or anchor in anchors(where)


def test_every_page_that_code_names_is_there() -> None:
    named = subprocess.run(
        ["git", "grep", "-hoE", r"docs/[a-z/-]+\.md(#[a-z-]+)?", "--", ":!*.md", ":!**/tests", ":!packages/localcloud"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert "docs/how-to/runbook.md" in named
    for name in set(named):
        file, _, anchor = name.partition("#")
        assert (ROOT / file).is_file(), name
        assert not anchor or anchor in anchors(ROOT / file), name


@pytest.mark.slow
@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_some_other_page_leads_to_every_page(page: Path) -> None:
    leading = {(other.parent / target.partition("#")[0]).resolve() for other, target in links() if other != page}
    assert page in leading
