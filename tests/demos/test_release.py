"""What the demo says at its end."""

from __future__ import annotations

from cli.local.stack import Done
from demos.release.__main__ import _why

SECOND = {"verdict": {"outcome": "promoted", "text": "not worse by more than 2%"}}
REFUSED = Done(1, "Diagnostics:\n  error: the gates are not met\n")


def test_version_three_is_explained_by_its_own_verdict_or_by_what_its_update_said() -> None:
    third = {"verdict": {"outcome": "rolled_back", "text": "alarm v-b-5xx rang"}}
    assert _why(SECOND, third, REFUSED) == "Why version 3 was taken back: alarm v-b-5xx rang"
    assert _why(SECOND, SECOND, REFUSED) == "Version 3 got no verdict; `pulumi up` said: the gates are not met"
