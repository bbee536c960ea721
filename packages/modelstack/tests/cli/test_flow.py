"""`modelstack pipeline show`: every step, what it takes, gives and costs, as text and as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

from click.testing import CliRunner

from modelstack.cli.flow import picture, text
from modelstack.cli.main import main
from modelstack.pipeline.steps import PIPELINE, Input, Pipeline, Step

ROOT = Path(__file__).resolve().parents[4]
SVG = "{http://www.w3.org/2000/svg}"
TWO = Pipeline(
    (Input("code", "folder", "the code"), Input("word", "text", "a word")),
    (
        Step("write", "toy:write", "write <it>", takes=("word", "code"), gives=("a.txt",), beside=("b.txt",)),
        Step("tell", "toy:tell", "tell it", takes=("write",), cached=False, retries=1, timeout=90, group="release"),
    ),
)


def test_the_text_tells_each_step_after_what_it_takes() -> None:
    assert text.drawn(TWO) == "\n".join(
        (
            "build",
            "  write  write <it>",
            "         takes  word, [code]",
            "         gives  a.txt, b.txt",
            "         costs  kept by what it is made of; at most 1 h; 1 CPU, 2 GB (ml.t3.medium)",
            "",
            "release",
            "  tell   tell it",
            "         after  write",
            "         costs  runs each time; at most 90 s, tried 2 times; 1 CPU, 2 GB (ml.t3.medium)",
        )
    )


def test_the_command_shows_the_declaration() -> None:
    shown = CliRunner().invoke(main, ["pipeline", "show"])
    assert (shown.exit_code, shown.output) == (0, text.drawn(PIPELINE) + "\n")


def test_the_picture_has_a_card_for_each_step_and_a_line_for_each_outcome_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.svg"
    shown = CliRunner().invoke(main, ["pipeline", "show", "--svg", str(file)])
    assert (shown.exit_code, shown.output) == (0, f"{file}\n")
    found = ET.parse(file).getroot()
    cards = [one for one in found.iter(f"{SVG}rect") if "card" in one.get("class", "")]
    tops = [float(one.get("y", "0")) for one in cards]
    assert len(cards) == len(PIPELINE.steps)
    assert all(after - before >= picture.HEIGHT + picture.GAP for before, after in pairwise(tops)), "none hides another"
    lines = [one for one in found.iter(f"{SVG}path") if one.get("class") == "line"]
    assert len(lines) == sum(len(PIPELINE.steps_of(one)) for one in PIPELINE.steps)
    names = [one.text for one in found.iter(f"{SVG}tspan") if one.get("class") == "name"]
    assert names == [one.name for one in PIPELINE.order()]


def test_words_of_a_step_cannot_break_the_picture() -> None:
    assert "write &lt;it&gt;" in picture.drawn(TWO)


def test_a_file_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["pipeline", "show", "--svg", str(tmp_path / "none" / "x.svg")])
    assert shown.exit_code == 2
    assert "x.svg: No such file or directory" in shown.output


def test_the_picture_in_the_docs_is_of_the_declaration() -> None:
    assert (ROOT / "docs" / "pictures" / "pipeline.svg").read_text() == picture.drawn(PIPELINE), "make docs writes it"
