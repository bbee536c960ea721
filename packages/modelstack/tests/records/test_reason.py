"""The reason of an audit record, in words."""

from __future__ import annotations

from modelstack.records.reason import reason_text


def test_a_reason_of_a_newer_version_is_its_kind() -> None:
    reason = {"source": "judge", "name": "errors", "said": "", "kind": "by_lot"}
    assert reason_text({"reason": reason}) == "by_lot"
    assert reason_text({"event": "started", "said": "a new season"}) == "a new season"
