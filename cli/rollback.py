"""A person decides: takes a release back, lets one go on, be tried again, take over without a trial, or serve again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit.chain import UNKNOWN
from cli.errors import OperatorError, explained
from cli.platform.choose import platform_of
from cli.target import Target
from cli.view.releases import find, journal_state, known, rejected
from cli.view.snapshot import Snapshot
from rollout.core.endings import Ignored
from rollout.core.state import Phase
from rollout.kinds import Kind
from rollout.reason import Reason

if TYPE_CHECKING:  # it loads the judge
    from rollout.controller.controller import Controller


def to_take_back(before: Snapshot, *, previous: bool, sure: bool) -> str:
    """What a rollback would do, in words.

    Args:
        before: The endpoint as it is.
        previous: Whether the person asked for the champion before this one.
        sure: Whether they are not asked again; then a champion is taken back only if they asked for the one before it.

    Raises:
        OperatorError: That is nothing, or not what was asked for; the message says whom it would be about.
    """
    champion, challenger, former = before.champion, before.challenger, before.previous
    if challenger:
        if previous:
            raise OperatorError(
                f"challenger {challenger} is on trial, and --previous is about the champion",
                "Without --previous the challenger is taken back; after that, with it, the champion.",
                2,
            )
        return f"Take back challenger {challenger}"
    if former is None:
        raise OperatorError(
            f"nothing is on trial on {before.endpoint}, so nothing was rolled back",
            f"Champion {champion} serves, and there is none before it to bring back." if champion else None,
        )
    if sure and not previous:
        raise OperatorError(
            f"nothing is on trial on {before.endpoint}, so nothing was rolled back: champion {champion} serves",
            f"Only to take back {champion} and bring back {former}, the champion before it, add --previous.",
        )
    return f"Take back champion {champion}, and bring back {former}, the one before it,"


def roll_back(target: Target, why: str, meant: str | None, *, patience: float = 300) -> dict[str, Any]:
    """Give the champion everything back, or bring the previous champion back; returns the verdict as JSON values.

    Args:
        target: Which endpoint.
        why: The person's reason.
        meant: The id of the release that is to be taken back; if by now it is another one, nothing is done.
        patience: How long the end is waited for, seconds.

    Raises:
        OperatorError: There is nothing to roll back, or the cloud does not let it happen; the message says which.
    """
    who = caller(target)
    controls = controller(target, who)
    reason = Reason("person", who, why, kind=Kind.TAKEN_BACK)
    with explained(f"rolling back {target.endpoint}"):
        answer = controls.roll_back(reason, meant=meant)
        if isinstance(answer, Ignored):
            raise OperatorError(f"nothing was rolled back: {answer.why}")
        state = controls.follow(patience)
    ended = state.last
    if ended is None or not state.at_rest:
        back = (
            "the endpoint was asked for the previous champion" if state.phase is Phase.RESTORING else "traffic is back"
        )
        raise OperatorError(
            f"{back}, but the rollout of {target.endpoint} has not ended within {patience:.0f} s",
            f"Watch it with `{target.commands.modelstack} watch --until-verdict`.",
        )
    reason = ended.reason.as_dict()
    return {"outcome": ended.outcome, "release": ended.release, "text": ended.reason.text, "reason": reason}


def approve(target: Target, why: str) -> str:
    """Let a trial go on that waits for a person; returns what happens then, in a sentence.

    Raises:
        OperatorError: Nothing waits for a person, or there is no more time to give.
    """
    who = caller(target)
    reason = Reason("person", who, why, kind=Kind.APPROVED)
    with explained(f"approving the trial on {target.endpoint}"):
        progress = controller(target, who).approve(reason)
    return progress.state.history[-1].text


def clear_rejection(target: Target, release: str) -> str:
    """Take back that a release was rejected, and return its id.

    Raises:
        OperatorError: No such release was rejected; the message names those that were.
    """
    names = rejected(journal_state(target))
    name = find(release, names)
    if name is None:
        which = ", ".join(item.id for item in names) or "none"
        raise OperatorError(f"release {release} is not rejected; rejected are: {which}")
    with explained(f"clearing {name.id}"):
        controller(target, caller(target)).clear_rejection(name.id)
    return name.id


def skip_trial(target: Target, release: str, why: str) -> None:
    """Let a release that could not be tried beside the champion take over at once when it is released next.

    Raises:
        OperatorError: The release had its trial, or was not the last one released; the message says which.
    """
    who = caller(target)
    controls = controller(target, who)
    reason = Reason("person", who, why, kind=Kind.TRIAL_SKIPPED)
    name = find(release, known(journal_state(target)))
    with explained(f"skipping the trial of {release}"):
        controls.skip_trial(name.id if name else release, reason)


def caller(target: Target) -> str:
    """Who asks, as their credentials say; `unknown` where nobody tells in time, as a rollback does not wait."""
    return platform_of(target).caller() or UNKNOWN


def controller(target: Target, who: str) -> Controller:
    """What changes the rollout of an endpoint, by the hand of somebody."""
    return platform_of(target).controller(who)
