"""Writes the duration of each test to a JSON file: `--durations-to NAME`, read by bench/timings.py."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bench.timings import DURATIONS


class Durations:
    """Seconds of each test, its set-up and tear-down included; xdist brings the reports of its workers."""

    def __init__(self, name: str) -> None:
        self._name, self._seconds = name, Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        DURATIONS.mkdir(parents=True, exist_ok=True)
        rounded = {test: round(seconds, 3) for test, seconds in self._seconds.items()}
        (DURATIONS / f"{self._name}.json").write_text(json.dumps(rounded, indent=0))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--durations-to", metavar="NAME", help="write each test's seconds to .modelstack/durations/NAME.json"
    )


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--durations-to")
    if name and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations(name))
