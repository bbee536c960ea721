"""A person agrees to a release that waits for people before it goes on trial."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cli.errors import OperatorError, explained
from cli.target import Target, only_aws
from cli.view.releases import journal_state
from rollout.core.state import Phase


@dataclass(frozen=True)
class Waiting:
    """A release that waits for people.

    Attributes:
        release: Its id.
        people: How many must agree; 0 when the stack's outputs do not say.
    """

    release: str
    people: int


def waiting(target: Target, release: str | None) -> Waiting | None:
    """What is to be agreed to: the release that is named, or else the one that waits; None when a trial waits instead.

    Raises:
        OperatorError: The journal cannot be read.
    """
    told = target.outputs.get("awaits") or {}
    if release is not None:
        return Waiting(release, told["people"] if told.get("release") == release else 0)
    known = target.on_kubernetes or target.outputs.get("journal_table")
    if known and journal_state(target).phase in {Phase.PAUSED, Phase.HELD}:
        return None
    return Waiting(told["release"], told["people"]) if told else None


def line(target: Target) -> str:
    """What `modelstack status` says of a release that waits for people; empty when none does.

    Raises:
        OperatorError: It cannot be looked up.
    """
    told = target.outputs.get("awaits")
    if not told:
        return ""
    if target.on_kubernetes:
        return f"release {told['release']}: {told['people']} must agree, which nobody can on Kubernetes so far"
    from platforms.aws import approvals  # noqa: PLC0415 - what is of AWS alone is loaded when it is needed

    with explained(f"looking who agreed to release {told['release']}"):
        given = approvals.given(target.client("s3"), target.output("artifact_bucket"), told["release"])
    names = ", ".join(f"{one.who} ({one.why})" for one in given)
    return f"release {told['release']}: {len(given)} of {told['people']} have agreed" + (f": {names}" if names else "")


def agree(target: Target, what: Waiting, why: str) -> str:
    """Agree; returns what happens then, in a sentence.

    Raises:
        OperatorError: The caller may not agree, or no such release is registered.
    """
    if target.on_kubernetes:
        raise only_aws(target)
    from platforms.aws import approvals  # noqa: PLC0415 - see above

    bucket = target.output("artifact_bucket")
    try:
        with explained(f"agreeing to release {what.release}"):
            group = target.output("package_group")
            given = approvals.give(target.client, what.release, why, time.time(), bucket=bucket, group=group)
            agreed = approvals.count(target.client("s3"), bucket, what.release)
    except approvals.ApprovalRefused as error:
        raise OperatorError(str(error)) from None
    said = f"{given.who} agrees to release {what.release}"
    if not what.people:
        return f"{said}; {agreed} have agreed"
    if agreed < what.people:
        return f"{said}; {agreed} of {what.people} have agreed"
    return f"{said}; {agreed} of {what.people} have agreed: {target.commands.pulumi_up} puts it on trial"
