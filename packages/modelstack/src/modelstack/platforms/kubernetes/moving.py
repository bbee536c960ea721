"""Guarded move of a champion to other pods: its traffic steps, and the decision at each look. Pure.

The steps and waits are those of a SageMaker deployment (`modelstack.services.guardrails`): traffic moves in parts, and
the alarms are watched after each, also after the last one before the old pods are removed.

The move is stored in an annotation of the route, written together with the rules. So a write succeeds only on the route
that was read, and another controller continues after a crash.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from modelstack.platforms.kubernetes import names
from modelstack.rollout.core.plan import EVERYTHING, Guard
from modelstack.rollout.stored import read
from modelstack.services.guardrails import steps_of

MOVE = f"{names.GROUP}/move"  # the annotation of a route with its move, or with the failure of the last one
_STANDING_BY = -1  # the step before the first: the gateway knows the new pods, and gives them nothing

Ending = Literal["arrived", "called off"]


@dataclass(frozen=True)
class Move:
    """A move of one variant to the pods of another config.

    Attributes:
        steps: Percent of the traffic on the new pods, step by step; the last is 100.
        since: Its start, epoch seconds.
        step: The current step, from 0; -1 before the first.
        at: The start of that step, epoch seconds.
        failure: Why it was rolled back; empty while it is under way.
    """

    config: str
    steps: tuple[int, ...]
    bake_seconds: int
    max_seconds: int
    alarms: tuple[str, ...]
    since: float
    step: int
    at: float
    failure: str = ""

    @classmethod
    def begun(cls, config: str, guard: Guard, instances: int, now: float) -> Move:
        """A new move; `instances` pods give the batches of a rolling one."""
        return cls(
            config,
            steps_of(guard, instances),
            guard.bake_seconds,
            guard.max_seconds,
            guard.alarms,
            now,
            _STANDING_BY,
            now,
        )

    @property
    def share(self) -> int:
        """Percent of the traffic on the new pods now."""
        return 0 if self.failure or self.step < 0 else self.steps[self.step]

    @property
    def under_way(self) -> bool:
        """Whether it continues."""
        return not self.failure

    @property
    def words(self) -> str:
        """Its progress, for people."""
        where = f"step {self.step + 1} of {len(self.steps)}" if self.step >= 0 else "before its first step"
        return f"the champion moves to the pods of {self.config}, which take {self.share}% of the traffic: {where}"

    def to_json(self) -> str:
        """For the annotation."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Move:
        """Parse the output of `to_json`; raises ValueError if it is invalid."""
        try:
            move = read(cls, json.loads(text))
            whole = all(isinstance(share, int) and 0 < share <= EVERYTHING for share in move.steps)
            if not whole or not move.steps or not _STANDING_BY <= move.step < len(move.steps):
                raise ValueError(f"no steps of a move: {move.steps}, {move.step}")
        except (AttributeError, TypeError, KeyError) as error:
            raise ValueError(f"no move of a route: {error!r}") from error
        return move


@dataclass(frozen=True)
class MoveStatus:
    """Observations of a move: whether the journal still wants it, ready old and new pods, and desired new ones (`of`).

    Attributes:
        lacking: Why no new pod is ready; empty if one is.
        gateway: What the gateway has not applied yet; empty if nothing.
        firing: The firing alarms; None if unknown.
    """

    wanted: bool
    old: int
    new: int
    of: int
    lacking: str = ""
    gateway: str = ""
    firing: tuple[str, ...] | None = ()


def decided(move: Move, seen: MoveStatus, now: float) -> Move | Ending:
    """The move after this look: unchanged while it waits, one step further, rolled back, or ended.

    Unknown observations never advance it. Traffic never returns to pods that are not ready: the new ones take over.
    """
    back, late = seen.old > 0, now - move.since > move.max_seconds
    if not seen.wanted:
        return "called off" if back or not seen.new else "arrived"
    if not seen.new:
        return replace(move, failure=seen.lacking or "no new pod is ready") if back else move
    if not back:
        return _alone(move, seen, now, late=late)
    if seen.firing:
        fires = ", ".join(seen.firing)
        why = f"One or more alarms are in ALARM state: {fires}. The move to {move.config} was rolled back."
        return replace(move, failure=why)
    why = _waits(move, seen, now)
    if why and late:
        return replace(move, failure=f"The move to {move.config} exceeded {move.max_seconds} s: {why}.")
    return move if why else _further(move, now)


def _waits(move: Move, seen: MoveStatus, now: float) -> str:
    if seen.gateway:
        return seen.gateway
    if seen.new < seen.of:
        return f"{seen.new} of {seen.of} new pods are ready"
    if seen.firing is None:
        return "nobody can say whether an alarm fires"
    return "baking was not over" if move.step >= 0 and now - move.at < move.bake_seconds else ""


def _further(move: Move, now: float) -> Move | Ending:
    last = move.step == len(move.steps) - 1
    return "arrived" if last else replace(move, step=move.step + 1, at=now)


def _alone(move: Move, seen: MoveStatus, now: float, *, late: bool) -> Move | Ending:
    """No old pod is ready: all traffic goes to the new ones at once, and no rollback is possible."""
    last = len(move.steps) - 1
    if move.step < last:
        return replace(move, step=last, at=now)
    return "arrived" if late or not (seen.firing or _waits(move, seen, now)) else move
