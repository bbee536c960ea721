"""Budgets of lines, and the durations of tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.timings import ROOT, Budgets, covers, slowest, violations

LINES = Counter({("source", "cli/view"): 90, ("source", "bench"): 30, ("tests", "cli"): 5})
ROWS = {"source": {"cli": 90, "bench": 30, "all without bench": 90}, "tests": {"cli": 5}}


def test_a_folder_over_its_budget_is_named_with_its_lines_the_budget_and_the_remedy() -> None:
    assert violations(LINES, Budgets({}, ROWS)) == []
    assert violations(LINES, Budgets({}, ROWS | {"tests": {"cli": 4}})) == [
        "cli: 5 lines of tests, budget 4. Remove 1, or edit budgets.toml and give the reason on the same line."
    ]


def test_a_folder_without_a_budget_is_named() -> None:
    (message,) = violations(LINES + Counter({("tests", "new"): 1}), Budgets({}, ROWS))
    assert message.startswith("new: 1 lines of tests have no budget.")


@pytest.mark.parametrize(
    ("row", "folder", "counted"),
    [
        ("platforms/aws + program/aws", "program/aws/x", True),
        ("platforms/aws + program/aws", "program/awsome", False),
        ("all without bench, demos", "cli", True),
        ("all without bench, demos", "demos/year", False),
    ],
)
def test_a_row_counts_the_folders_that_it_names(row: str, folder: str, counted: bool) -> None:
    assert covers(row, folder) == counted


def test_the_slowest_tests_of_all_suites_come_first(tmp_path: Path) -> None:
    (tmp_path / "check.json").write_text(json.dumps({"quick": 1.0, "both": 3.0}))
    (tmp_path / "test.json").write_text(json.dumps({"slow": 9.0, "both": 2.0}))
    assert slowest(tmp_path) == [(9.0, "slow"), (2.0, "both"), (1.0, "quick")]


@pytest.mark.slow
def test_durations_of_a_run_are_written_also_by_xdist(tmp_path: Path) -> None:
    test, written = tmp_path / "test_it.py", tmp_path / "written"
    test.write_text("import pytest, time\n@pytest.mark.parametrize('n', (1, 2))\ndef test_it(n): time.sleep(0.1)")
    words = ["-q", "-p", "tests.durations", "-n", "2", "--durations-to", str(written), "--rootdir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pytest", *words, str(test)], cwd=ROOT, check=True)
    durations = json.loads(written.with_suffix(".json").read_text())
    assert durations.keys() == {"test_it.py::test_it[1]", "test_it.py::test_it[2]"}
    assert min(durations.values()) >= 0.1
