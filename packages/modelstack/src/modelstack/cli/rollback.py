"""A person's decisions on a rollout: roll back, approve, clear a rejection, skip a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.releases import find, journal_state, known, rejected
from modelstack.cli.view.snapshot import Snapshot
from modelstack.records.audit.chain import UNKNOWN
from modelstack.rollout.core.endings import Ignored
from modelstack.rollout.core.state import Phase
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

if TYPE_CHECKING:  # it loads the judge
    from modelstack.rollout.controller.controller import Controller


def to_take_back(before: Snapshot, *, previous: bool, sure: bool) -> str:
    """What a rollback would do, in words; OperatorError if there is nothing to do, or it is about another release.

    `sure` says that no question follows; then rolling back a champion needs `previous`.
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
    """Roll back the challenger, or the champion to the previous one; returns the verdict as JSON values.

    Does nothing if the release to roll back is no longer `meant`. OperatorError if it takes over `patience` seconds.
    """
    controls, reason = acting(target, why, Kind.TAKEN_BACK)
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
    """Let a waiting trial continue; returns a sentence with what happens. OperatorError if none waits."""
    controls, reason = acting(target, why, Kind.APPROVED)
    with explained(f"approving the trial on {target.endpoint}"):
        progress = controls.approve(reason)
    return progress.state.history[-1].text


def clear_rejection(target: Target, release: str) -> str:
    """Clear a release's rejection and return its id; OperatorError if it is not rejected."""
    names = rejected(journal_state(target))
    name = find(release, names)
    if name is None:
        which = ", ".join(item.id for item in names) or "none"
        raise OperatorError(f"release {release} is not rejected; rejected are: {which}")
    with explained(f"clearing {name.id}"):
        acting(target)[0].clear_rejection(name.id)
    return name.id


def skip_trial(target: Target, release: str, why: str) -> None:
    """Let a release that could not be put on trial take over when released next; OperatorError if it had a trial."""
    controls, reason = acting(target, why, Kind.TRIAL_SKIPPED)
    name = find(release, known(journal_state(target)))
    with explained(f"skipping the trial of {release}"):
        controls.skip_trial(name.id if name else release, reason)


def acting(target: Target, why: str = "", kind: Kind = Kind.SAID) -> tuple[Controller, Reason]:
    """The controller of a rollout on behalf of the caller (`unknown` if that is not known quickly), and the reason."""
    who = platform_of(target).caller() or UNKNOWN
    return platform_of(target).controller(who), Reason("person", who, why, kind=kind)
