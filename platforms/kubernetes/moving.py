"""A guarded move of a champion to other pods: by which steps its traffic goes there, and what each look decides. Pure.

    move = Move.begun("flight-delay-prod-0c…", guard, instances=2, now=now)
    decided(move, seen, now)       # the move after this look, or how it ends

SageMaker does this by itself; in a cluster nobody does. So the steps are those of a SageMaker deployment, with its
waits (`services.guardrails`): traffic moves in parts, each is followed by a wait in which the alarms are watched,
and the last part has its wait too, before the old pods are let go.

The move is kept on the route, in an annotation that is written together with the rules. So there is one truth, a write
lands only on what was read, and whoever comes after a controller that was killed goes on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from platforms.kubernetes import names
from rollout.core.plan import EVERYTHING, Guard
from rollout.stored import read
from services.guardrails import steps_of

MOVE = f"{names.GROUP}/move"
"""The annotation of a route with the move that is under way, or with why the last one was taken back."""
_STANDING_BY = -1  # the step before the first: the gateway knows the new pods, and gives them nothing

Ending = Literal["arrived", "called off"]


@dataclass(frozen=True)
class Move:
    """A move of one variant to other pods.

    Attributes:
        config: The config of the new pods.
        steps: The percent of the traffic that they take, step by step; the last is 100.
        bake_seconds: The wait after each step.
        max_seconds: The longest that all of it may take.
        alarms: The names of the alarms by which it is taken back; none: by no alarm.
        since: When it began, epoch seconds.
        step: The present one, from 0; -1 before the first.
        at: When that began, epoch seconds.
        failure: Why it was taken back; empty while it is under way.
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
        """A move that begins.

        Args:
            config: The config of the new pods.
            guard: How it goes.
            instances: How many pods there will be, which makes the batches of a rolling one.
            now: Epoch seconds.
        """
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
        """The percent of the traffic that the new pods have now."""
        return 0 if self.failure or self.step < 0 else self.steps[self.step]

    @property
    def under_way(self) -> bool:
        """Whether it goes on."""
        return not self.failure

    @property
    def words(self) -> str:
        """Where it stands, for people."""
        where = f"step {self.step + 1} of {len(self.steps)}" if self.step >= 0 else "before its first step"
        return f"the champion moves to the pods of {self.config}, which take {self.share}% of the traffic: {where}"

    def to_json(self) -> str:
        """For the annotation."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Move:
        """Read back what `to_json` wrote.

        Raises:
            ValueError: It is no move.
        """
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
    """What a look at a move finds.

    Attributes:
        wanted: Whether the journal still wants it.
        old: How many of the old pods get requests.
        new: How many of the new ones could.
        of: How many of the new ones there are to be.
        lacking: Why none of the new ones could; empty when one can.
        gateway: What the gateway has not done yet of what was written; empty when all is done.
        ringing: The names of the alarms that ring; None when nobody can say.
    """

    wanted: bool
    old: int
    new: int
    of: int
    lacking: str = ""
    gateway: str = ""
    ringing: tuple[str, ...] | None = ()


def decided(move: Move, seen: MoveStatus, now: float) -> Move | Ending:
    """What this look makes of a move: the move itself while it waits, a step further, taken back, or how it ends.

    What is unknown lets nothing go on. Nothing goes back to pods that answer nobody; then the new ones take over.
    """
    back, late = seen.old > 0, now - move.since > move.max_seconds
    if not seen.wanted:
        return "called off" if back or not seen.new else "arrived"
    if not seen.new:
        return replace(move, failure=seen.lacking or "no new pod is ready") if back else move
    if not back:
        return _alone(move, seen, now, late=late)
    if seen.ringing:
        rings = ", ".join(seen.ringing)
        why = f"One or more alarms are in ALARM state: {rings}. The move to {move.config} was rolled back."
        return replace(move, failure=why)
    why = _waits(move, seen, now)
    if why and late:
        return replace(move, failure=f"The move to {move.config} exceeded {move.max_seconds} s: {why}.")
    return move if why else _further(move, now)


def _waits(move: Move, seen: MoveStatus, now: float) -> str:
    """What a move waits for; empty when it goes on."""
    if seen.gateway:
        return seen.gateway
    if seen.new < seen.of:
        return f"{seen.new} of {seen.of} new pods are ready"
    if seen.ringing is None:
        return "nobody can say whether an alarm rings"
    return "baking was not over" if move.step >= 0 and now - move.at < move.bake_seconds else ""


def _further(move: Move, now: float) -> Move | Ending:
    last = move.step == len(move.steps) - 1
    return "arrived" if last else replace(move, step=move.step + 1, at=now)


def _alone(move: Move, seen: MoveStatus, now: float, *, late: bool) -> Move | Ending:
    """The old pods answer nobody: all goes to the new ones at once, and there is no way back."""
    last = len(move.steps) - 1
    if move.step < last:
        return replace(move, step=last, at=now)
    return "arrived" if late or not (seen.ringing or _waits(move, seen, now)) else move
