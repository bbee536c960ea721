"""What the demo says at its end."""

from __future__ import annotations

from dataclasses import replace

from cli.local.stack import Done
from cli.view.snapshot import Snapshot
from demos.release.__main__ import _why

PROMOTED = {"outcome": "promoted", "text": "not worse by more than 2%"}
SECOND = Snapshot("t", "local", "e", "InService", "c", "idle", "a", None, "sha256:a", None, PROMOTED, (), (), ())
REFUSED = Done(1, "Diagnostics:\n  error: the gates are not met\n")


def test_a_version_that_was_taken_back_is_told_with_its_own_verdict() -> None:
    third = replace(SECOND, verdict={"outcome": "rolled_back", "text": "alarm v-b-5xx rang"})
    assert _why(SECOND, third, REFUSED) == "Why version 3 was taken back: alarm v-b-5xx rang"


def test_an_update_that_failed_before_a_verdict_is_told_with_what_it_said_and_not_with_the_last_verdict() -> None:
    assert _why(SECOND, SECOND, REFUSED) == "Version 3 got no verdict; `pulumi up` said: the gates are not met"
