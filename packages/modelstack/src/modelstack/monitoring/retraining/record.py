"""The record of an endpoint's retraining. Days are those of the requests, `YYYY-MM-DD`, also in a replay."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any, Literal

from modelstack.forms import check
from modelstack.records.audit.record import Entry, RecordKind
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.stored import read

Kind = Literal["drift", "concept", "schedule", "person"]
_STARTS = 32
_ACCEPTED = 5
_HISTORY = 50
_OBSTACLES = {
    "nothing_serves": "nothing serves that could be trained anew",
    "on_trial": "{release} is on trial",
    "cool_down": "the last one was begun {days:.0f} days before, and {cool_down_days:.0f} must pass",
    "budget": "{begun:.0f} were begun within a week, which is all that is allowed",
}
_WHAT = {
    "asked": "retraining waits for a person",
    "approved": "retraining approved",
    "declined": "retraining declined",
    "candidate declined": "candidate {0.release} declined",
    "started": "training {0.job} on data to {0.through}",
    "candidate": "{0.release}, trained on data to {0.through}, waits for its release",
    "kept": "the champion stays, {0.job} gave no candidate",
    "overtaken": "{0.job} gave no candidate",
    "failed": "{0.job} failed",
    "stopped": "{0.job} is stopped, the champion stays",
    "forgotten": "retrained windows forgotten, the config's counts again",
}  # what happened, in a line without the reason


class Phase(Enum):
    """The phase of a retraining."""

    IDLE = "idle"
    ASKING = "asking"
    TRAINING = "training"


@dataclass(frozen=True)
class Trigger:
    """Why a new version is wanted; `numbers` has `evidence` of an alarm, or `days` and `every_days` of a schedule."""

    kind: Kind
    said: str = ""
    alarm: str = ""
    variant: str = ""
    since: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def why(self) -> str:
        """The trigger as a sentence."""
        if self.since:
            days, every = self.numbers["days"], self.numbers["every_days"]
            return f"{days:.0f} days since {self.since}, by schedule after {every:.0f}"
        evidence = self.numbers.get("evidence")
        said = self.said if evidence is None else f"evidence {evidence:.4g}, 1 is enough"
        return f"{self.alarm} fired: {said}" if self.alarm else said


@dataclass(frozen=True)
class Obstacle:
    """Why nothing can begin now: `numbers` has the counts, and what is allowed."""

    kind: Literal["nothing_serves", "on_trial", "cool_down", "budget"]
    release: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def text(self) -> str:
        """The obstacle as a sentence."""
        return _OBSTACLES[self.kind].format(release=self.release, **self.numbers)


@dataclass(frozen=True)
class Held:
    """A desired retraining, and what prevents it."""

    trigger: Trigger
    obstacle: Obstacle

    @property
    def text(self) -> str:
        """Both as a sentence."""
        return f"{self.trigger.why}: not begun, as {self.obstacle.text}"


@dataclass(frozen=True)
class Candidate:
    """A registered version that was better than `champion`; it learned from what was known when `through` began."""

    through: str
    recipe: str
    release: str
    package: Mapping[str, Any]
    why: str = ""
    champion: str = ""
    served: bool = False


@dataclass(frozen=True)
class RetrainingEvent:
    """One event of the history.

    Attributes:
        at: Epoch seconds.
        kind: A key of `_WHAT`, or newer.
        numbers: The comparison of challenger and champion, if there was one.
        through: The job learns from what is known when this day begins.
        champion: The release that the job started from, if it no longer serves.
        serves: The release that replaced it, empty for none; None if the champion stayed.
    """

    at: float
    day: str
    kind: str
    said: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    job: str = ""
    release: str = ""
    through: str = ""
    trigger: Trigger | None = None
    champion: str = ""
    serves: str | None = None

    @property
    def what(self) -> str:
        """What happened, in a line."""
        kind = self.kind
        if kind == "kept" and self.serves is not None:
            kind = "overtaken"
        if kind == "declined" and self.release:
            kind = "candidate declined"
        return _WHAT.get(kind, "{0.kind}: upgrade pulumi-modelstack to know this event").format(self)

    @property
    def why(self) -> str:
        """Why, in a sentence."""
        if self.serves is not None and self.kind == "failed":
            return f"it was never created, and {self.champion} serves no more"
        if self.serves is not None:
            return f"it was held against {self.champion}, and {self.serves or 'nothing'} serves by now"
        return self.trigger.why if self.trigger else self.said

    @property
    def text(self) -> str:
        """What happened and why, in one sentence."""
        return f"{self.what}: {self.why}"

    def as_dict(self) -> dict[str, Any]:
        """The fields and the sentence as plain JSON values."""
        return {**asdict(self), "text": self.text}

    def audited(self) -> Entry:
        """The entry for the audit record; its id prevents that an event reported twice is recorded twice."""
        what = {name: value for name, value in asdict(self).items() if value not in ("", None, {})}
        del what["at"], what["kind"]
        name = f"{self.at}/{self.kind}/{self.job}/{self.release}"
        return Entry(self.at, RecordKind.RETRAINING, {**what, "event": self.kind}, name)


@dataclass(frozen=True)
class RetrainingRecord:
    """The retraining of one endpoint. Strings are empty if there is no such thing.

    Attributes:
        through: The job learns from what is known when this day begins.
        champion: The id of the release that the job starts from.
        requested: A person's request that has not begun yet.
        stopping: Why a person stops the job.
        starts: The days on which a job began, or a person declined one, oldest first.
        since: The first observed day; a schedule counts from it.
        accepted: Candidates, newest first.
        history: Events, oldest first.
        not_reported: How many of the newest events are not sent yet.
    """

    revision: int = 0
    phase: Phase = Phase.IDLE
    trigger: Trigger | None = None
    through: str = ""
    job: str = ""
    champion: str = ""
    requested: Trigger | None = None
    approved: bool = False
    stopping: str = ""
    starts: tuple[str, ...] = ()
    since: str = ""
    accepted: tuple[Candidate, ...] = ()
    held: Held | None = None
    history: tuple[RetrainingEvent, ...] = ()
    not_reported: int = 0

    def noted(self, entry: RetrainingEvent) -> RetrainingRecord:
        """The record with one more event, not sent yet."""
        history = (*self.history, entry)[-_HISTORY:]
        return replace(self, history=history, not_reported=min(self.not_reported + 1, len(history)))

    def begun(self, day: str) -> RetrainingRecord:
        """The record with one more start."""
        return replace(self, starts=(*self.starts, day)[-_STARTS:])

    def with_candidate(self, candidate: Candidate) -> RetrainingRecord:
        """The record with one more candidate; it replaces one of the same release."""
        others = [one for one in self.accepted if one.release != candidate.release]
        return replace(self, accepted=(candidate, *others)[:_ACCEPTED])

    def served_by(self, champion: str) -> RetrainingRecord:
        """The record with the champion's candidate marked as served."""
        accepted = tuple(replace(one, served=True) if one.release == champion else one for one in self.accepted)
        return self if accepted == self.accepted else replace(self, accepted=accepted)

    def to_json(self) -> str:
        """The record as JSON."""
        fields = asdict(self)
        return json.dumps(fields | {"phase": self.phase.value, "untold": fields.pop("not_reported")}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RetrainingRecord:
        """Read back what `to_json` wrote, ignoring unknown fields of a newer version. ValueError if it is none,
        RolloutError if it has a newer version.
        """
        try:
            fields = json.loads(text)
            check("retraining record", fields.get("version", 1), RolloutError)
            return read(cls, {**fields, "not_reported": fields["untold"]}, newer=True, whole=True)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no record of a retraining: {type(error).__name__}: {error}") from None


def standing(record: RetrainingRecord, rejected: Collection[str], champion: str) -> Candidate | None:
    """The newest candidate that counts: its window is that of the next release.

    A rejected one does not count, nor one that never served and was compared with another champion: whether it is
    better than the present one is unknown.
    """

    def counts(one: Candidate) -> bool:
        return one.release not in rejected and (one.served or champion in {one.release, one.champion})

    return next((one for one in record.accepted if counts(one)), None)


def waiting(record: RetrainingRecord, rejected: Collection[str], champion: str, challenger: str) -> Candidate | None:
    """The candidate that the next `pulumi up` would put on trial; see `standing`."""
    newest = standing(record, rejected, champion)
    return None if newest is None or newest.served or newest.release in {champion, challenger} else newest
