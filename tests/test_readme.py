"""What the README tells a stranger to type is run on a clean machine, and what it links to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RUN_IN_CI = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]


def commands() -> list[str]:
    """Every line of the README's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_is_run_in_ci(command: str) -> None:
    assert any(line == command or line.startswith(f"{command} ") for line in RUN_IN_CI)


def test_the_readme_has_commands_to_run() -> None:
    assert commands()[:2] == ["make up", "make demo"]


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_page_that_the_readme_links_to_is_there(target: str) -> None:
    assert (ROOT / target).exists()
