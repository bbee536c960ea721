"""No text from outside reaches a terminal as something that it acts on."""

from __future__ import annotations

import io
import re
from pathlib import Path

import click
import pytest
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from modelstack.cli import page as printing
from modelstack.cli.error_handling import show_error
from modelstack.cli.errors import OperatorError
from modelstack.cli.options import Reason
from modelstack.cli.page import Page, give, page, say
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason as Kept
from modelstack.rollout.signs import ACTS

CLI = Path(printing.__file__).parent
HOSTILE = "well\x1b[2J\x1b]0;title\x07\x9b31m\r\u202egood"
CLEANED = "well\N{REPLACEMENT CHARACTER}[2J"


def table() -> Table:
    made = Table("why")
    made.add_row(HOSTILE)
    return made


def tree() -> Tree:
    made = Tree(HOSTILE)
    made.add(Text(HOSTILE))
    return made


@pytest.mark.parametrize("shown", [HOSTILE, Text(HOSTILE), table(), tree(), Group(HOSTILE, table())])
def test_whatever_is_printed_is_cleaned(capsys: pytest.CaptureFixture[str], shown: RenderableType) -> None:
    page().print(shown)
    out = capsys.readouterr().out
    assert CLEANED in out and not ACTS.search(out)


def test_colors_stay_and_are_not_those_of_the_text() -> None:
    file = io.StringIO()
    Page(file=file, force_terminal=True, color_system="standard").print(Text(HOSTILE, style="red"))
    out = file.getvalue()
    assert out.startswith(f"\x1b[31m{CLEANED}")
    assert re.findall(r"\x1b.", out) == ["\x1b[", "\x1b["]


def test_lines_and_errors_are_cleaned_too(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"a\tb\n{HOSTILE}")
    say(HOSTILE, err=True)
    show_error(Page(stderr=True), OperatorError(HOSTILE, HOSTILE))
    seen = capsys.readouterr()
    assert seen.out.startswith("a\tb\nwell")
    assert not ACTS.search(seen.out + seen.err) and seen.err.count(CLEANED) == 3


def test_a_program_gets_data_as_they_are_and_a_terminal_does_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(HOSTILE)
    assert "\x9b" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    give(HOSTILE)
    assert not ACTS.search(capsys.readouterr().out)


def test_nothing_is_printed_but_by_way_of_this_page() -> None:
    raw = re.compile(r"click\.s?echo|click\.secho|^\s*print\(|\bConsole\(|sys\.std(out|err)\.write")
    found = {
        f"{path.relative_to(CLI)}: {line.strip()}"
        for path in CLI.rglob("*.py")
        if path.name not in {"page.py", "commands_page.py"}
        for line in path.read_text().splitlines()
        if raw.search(line) and not line.lstrip().startswith(("#", "class "))
    }
    assert found == set()


def test_words_from_outside_are_cleaned_where_they_are_kept_as_other_programs_print_them() -> None:
    reason = Kept("alarm", "it", HOSTILE, kind=Kind.TAKEN_BACK)
    assert CLEANED in reason.text and not ACTS.search(reason.text)


@pytest.mark.parametrize("sign", ["\x1b", "\x9b", "\x07", "\x00", "\u202e", "\u2066"])
def test_a_reason_with_a_sign_that_a_terminal_acts_on_is_refused(sign: str) -> None:
    with pytest.raises(click.BadParameter, match="on which a terminal acts"):
        Reason().convert(f"looks{sign}well", None, None)


def test_a_reason_is_one_line_in_any_script() -> None:
    assert (
        Reason().convert(" looks\n\twell, très bien, 良い 👍🏽 \r\n", None, None) == "looks well, très bien, 良い 👍🏽"
    )
