"""Nothing that a package or a cloud says can break out of the comment, and the comment is never too long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.cli.report.markdown import MOST_BYTES, Section, bar, code, document, fenced, sided, table, text

HOSTILE = [
    "<script>alert(1)</script>",
    "<!-- modelstack pr-report dev -->",
    "</details>",
    "a | b",
    "`code`",
    "[click](http://evil)",
    "![x](http://evil/pixel.png)",
    "@everyone #1 GH-1",
    "line\n\n## heading",
    "\u202egnp.exe",
    "https://evil www.evil.com",
    "$x^2$",
    "- item\r* item",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_one_line_without_elements_links_cells_or_calls(value: str) -> None:
    shown = text(value)
    assert "\n" not in shown and "\r" not in shown and "\u202e" not in shown
    assert "<" not in shown and ">" not in shown
    assert not re.search(r"(?<!\\)[`|\[\]*_#$!]", shown)
    assert not re.search(r"[@#]\w", shown) and "://" not in shown and "www." not in shown and "GH-" not in shown


@given(st.text())
def test_no_text_ends_code_or_the_cell_that_it_is_in(value: str) -> None:
    shown = code(value)
    assert shown == "-" or (shown[0] == shown[-1] == "`" and not set(shown[1:-1]) & set("`|\n\r\x00\x1b"))
    assert len(shown) <= 162


@given(st.text())
def test_no_text_ends_a_block(value: str) -> None:
    first, *inside, last = fenced(value)
    fence = first.removesuffix("text")
    assert last == fence
    assert not any(line.strip().startswith(fence) for line in inside)
    assert len(inside) <= 31


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    lines = table(("n", "m"), [(str(n), "") for n in range(50)], right=(0,), most=40)
    assert lines[:3] == ["| n | m |", "| ---: | --- |", "| 0 |  |"]
    assert lines[-1] == "… and 10 rows more."


def test_bars_tell_shares_and_directions() -> None:
    assert [bar(share, 4) for share in (0.0, 0.5, 1.0, 7.0)] == ["▏", "██", "████", "████"]
    assert (sided(-1.0, 2.0, 4), sided(2.0, 2.0, 4), sided(0.0, 0.0, 2)) == ("`··██│····`", "`····│████`", "`··│··`")


def test_what_is_folded_is_left_out_first_and_what_is_left_out_is_said() -> None:
    long = ["x" * 99] * 300
    sections = [Section("A", ["seen"], [("more of A", long)]), Section("B", ["seen too"], [("more of B", long)])]
    page = document(["top"], sections, most=40_000)
    assert len(page.encode()) <= 40_000
    assert "more of A" in page and "more of B" not in page
    assert page.count("<details>") == page.count("</details>") == 1
    assert "seen too\n\n… more is too long for a comment." in page


def test_a_comment_that_is_too_long_all_over_is_cut_between_lines() -> None:
    page = document(["top"], [Section("A", ["é" * 400] * 500)])
    assert len(page.encode()) <= MOST_BYTES
    assert page.startswith("top\n") and page.endswith("… the rest is too long for a comment.\n")
    assert set(page.splitlines()[3:-2]) <= {"é" * 400, ""}


def test_a_block_that_is_cut_is_ended_before_that_is_said() -> None:
    lines = ["````text", "```", *["e" * 300] * 300, "````"]
    page = document(["top"], [Section("A", lines)], most=20_000)
    assert len(page.encode()) <= 20_000
    assert page.endswith("e\n````\n… the rest is too long for a comment.\n")
