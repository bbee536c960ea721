"""The log of failed requests."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from modelstack.serving.failures import FailureLog


def test_a_line_is_one_write_so_that_those_of_several_workers_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=writes.append, flush=lambda: None))
    FailureLog().write(500, "model", "ValueError: no rows")
    (line,) = writes
    assert line.endswith("}\n")
    assert json.loads(line)["reason"] == "ValueError: no rows"
