"""`pytest tests/conformance --write-page` writes the table of faults into docs/faults.md."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-page", action="store_true", help="write the table of faults into docs/faults.md")
