from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.platforms.aws.descriptions import Description


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_a_description_is_read_as_it_was_written(severity: str) -> None:
    written = Description(severity, "It fails. Much.", "docs/how-to/runbook.md#5xx")
    assert Description.read(str(written)) == written


@given(st.text())
def test_of_any_other_description_nothing_is_lost(text: str) -> None:
    found = Description.read(text)
    assert found.text in text
    assert found.severity in {"", "page", "ticket"}


def test_a_description_of_somebody_else_is_all_text() -> None:
    assert Description.read("Severity is high") == Description("", "Severity is high")
    assert Description.read("") == Description("", "")
