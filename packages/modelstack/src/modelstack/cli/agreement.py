"""Approval of a release by people, before its trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.releases import journal_state
from modelstack.rollout.core.state import Phase
from modelstack.services.approvals import Approval, ApprovalRefused, approve


@dataclass(frozen=True)
class Waiting:
    """A release that needs approval; `people` is 0 when the stack's outputs do not say how many must agree."""

    release: str
    people: int


def waiting(target: Target, release: str | None) -> Waiting | None:
    """The named release, or else the one that needs approval; None when a trial waits instead."""
    told = target.outputs.get("awaits") or {}
    if release is not None:
        return Waiting(release, told["people"] if told.get("release") == release else 0)
    if not told:
        return None
    if target.has_journal and journal_state(target).phase in {Phase.PAUSED, Phase.HELD}:
        return None
    return Waiting(told["release"], told["people"])


def line(target: Target) -> str:
    """The approvals of a release that waits for them, as `modelstack status` shows them; empty when none waits."""
    told = target.outputs.get("awaits")
    if not told:
        return ""
    given = approvals_of(target, told["release"])
    names = ", ".join(f"{one.who} ({one.why})" for one in given)
    return f"release {told['release']}: {len(given)} of {told['people']} have agreed" + (f": {names}" if names else "")


def approvals_of(target: Target, release: str) -> Sequence[Approval]:
    """The approvals of a release, oldest first."""
    with explained(f"looking who agreed to release {release}"):
        return platform_of(target).approvals().given(release)


def agree(target: Target, what: Waiting, why: str) -> str:
    """Approve as the caller; returns a sentence with what happens next, OperatorError if the caller may not."""
    platform, registry = platform_of(target), platform_of(target).registry_name()
    try:
        with explained(f"agreeing to release {what.release}"):
            versions, approvals = platform.versions(), platform.approvals()
            who, agreed = approve(versions, approvals, what.release, why, now=time.time(), registry=registry)
    except ApprovalRefused as error:
        raise OperatorError(str(error)) from None
    said = f"{who} agrees to release {what.release}"
    if not what.people:
        return f"{said}; {agreed} have agreed"
    if agreed < what.people:
        return f"{said}; {agreed} of {what.people} have agreed"
    return f"{said}; {agreed} of {what.people} have agreed: {target.commands.pulumi_up} puts it on trial"
