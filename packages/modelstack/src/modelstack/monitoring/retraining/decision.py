"""Decides on a retraining: pure functions from a record and observations to the next record and an action on its job.

They look at levels (an alarm fires now), not edges. So a lost or duplicate event changes only the time of the next
look. What a person requests in vain raises NotNow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from modelstack.monitoring.retraining.record import (
    Candidate,
    Held,
    Obstacle,
    Phase,
    RetrainingEvent,
    RetrainingRecord,
    Trigger,
)
from modelstack.monitoring.retraining.rules import Rules
from modelstack.rollout.core.release import Release, release_id

WEEK = 7  # days
PACKAGE = ("package_digest", "archive_uri", "manifest_sha256", "model_package_arn", "image_uri")


_NOTHING_SERVES = Obstacle("nothing_serves")


class NotNow(Exception):
    """A person's request cannot be done; the message says why."""


@dataclass(frozen=True)
class JobSeen:
    """A training job as the platform reports it, `missing` when there is no job of that name."""

    status: Literal["missing", "running", "completed", "failed"]
    why: str = ""
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RetrainingObservation:
    """The observations at one time.

    Attributes:
        now: Epoch seconds.
        day: The newest day of the requests, `YYYY-MM-DD`.
        champion: None before the first release.
        firing: The champion's firing alarms that request a retraining.
        job: The record's job; None when it has none.
    """

    now: float
    day: str
    champion: Release | None
    on_trial: str = ""
    firing: tuple[Trigger, ...] = ()
    job: JobSeen | None = None

    @property
    def serves(self) -> str:
        """The id of the release that serves; empty before the first."""
        return self.champion.id if self.champion else ""

    def entry(self, kind: str, said: str = "", **more: Any) -> RetrainingEvent:
        """An event at this time; `more` are further fields of it."""
        return RetrainingEvent(self.now, self.day, kind, said, **more)


@dataclass(frozen=True)
class Start:
    """A training job to create, unless it exists; it learns from what is known when day `through` begins."""

    job: str
    champion: Release
    through: str


@dataclass(frozen=True)
class Stop:
    """A training job to stop, unless it has ended."""

    job: str


def decide(
    record: RetrainingRecord, seen: RetrainingObservation, rules: Rules, endpoint: str
) -> tuple[RetrainingRecord, Start | Stop | None]:
    """The record to write (equal to the old one if nothing changed), and the action on its job after the write."""
    if not record.since or record.since > seen.day:  # a future day is of another replay
        record = replace(record, since=seen.day)
    record = record.served_by(seen.champion.id) if seen.champion else record
    if record.phase is Phase.TRAINING:
        return _of_job(record, seen)
    if record.phase is Phase.ASKING and not record.approved:
        return record, None
    trigger = record.trigger if record.phase is Phase.ASKING else _wish(record, seen, rules)
    if trigger is None:
        return replace(record, held=None), None
    free = trigger.kind == "person" or record.approved
    obstacle = _obstacle(seen) or (None if free else _paced(record, seen.day, rules))
    if obstacle is not None or seen.champion is None:
        return replace(record, held=Held(trigger, obstacle or _NOTHING_SERVES)), None
    if rules.ask and trigger.kind != "person" and not record.approved:
        asking = replace(record, phase=Phase.ASKING, trigger=trigger, through=seen.day, held=None)
        return asking.noted(seen.entry("asked", trigger=trigger)), None
    return _begun(record, seen, seen.champion, trigger, endpoint)


def request(record: RetrainingRecord, seen: RetrainingObservation, reason: str) -> RetrainingRecord:
    """A person requests a retraining, whatever the cool-down and the budget. NotNow if one is under way."""
    if record.stopping:
        raise NotNow(f"{record.job} is being stopped: {record.stopping}")
    if record.phase is Phase.TRAINING:
        raise NotNow(f"{record.job} is training: {record.trigger.why if record.trigger else ''}")
    if obstacle := _obstacle(seen):
        raise NotNow(obstacle.text)
    asked = Trigger("person", reason)
    return replace(record, phase=Phase.IDLE, trigger=None, through="", approved=False, requested=asked)


def approve(record: RetrainingRecord, seen: RetrainingObservation, reason: str) -> RetrainingRecord:
    """A person approves the retraining that waits."""
    if record.phase is not Phase.ASKING:
        raise NotNow("nothing waits for a person")
    if record.approved:
        raise NotNow("it is approved already")
    return replace(record, approved=True).noted(seen.entry("approved", reason))


def decline(record: RetrainingRecord, seen: RetrainingObservation, reason: str) -> RetrainingRecord:
    """A person declines the retraining or candidate that waits; the cool-down starts now."""
    newest = record.accepted[0] if record.accepted else None
    live = {seen.on_trial, seen.serves}
    if record.phase is Phase.ASKING:
        release, after = "", _idle(record)
    elif newest is not None and not newest.served and newest.release not in live:
        release, after = newest.release, replace(record, accepted=record.accepted[1:])
    else:
        raise NotNow("nothing waits for a person")
    return after.begun(seen.day).noted(seen.entry("declined", reason, release=release))


def stop(record: RetrainingRecord, seen: RetrainingObservation, reason: str) -> RetrainingRecord:
    """A person stops the running job, whatever its result; the cool-down counts from its start."""
    if record.phase is not Phase.TRAINING:
        raise NotNow("no job runs")
    if record.stopping:
        raise NotNow(f"{record.job} is being stopped: {record.stopping}")
    stopping = replace(record, stopping=reason)
    return stopping.noted(seen.entry("stopped", reason, job=record.job))


def forget(record: RetrainingRecord, seen: RetrainingObservation, reason: str) -> RetrainingRecord:
    """The config's own window applies again. NotNow while a retrained version is on trial, whose win it would undo."""
    if any(one.release == seen.on_trial for one in record.accepted):
        raise NotNow(f"{seen.on_trial} is on trial, with a retrained window: forget after its verdict, or roll it back")
    if not record.accepted:
        raise NotNow("no retrained version counts: the window of the config does")
    return replace(record, accepted=()).noted(seen.entry("forgotten", reason))


def _wish(record: RetrainingRecord, seen: RetrainingObservation, rules: Rules) -> Trigger | None:
    if record.requested is not None:
        return record.requested
    for one in seen.firing:
        if one.kind in rules.on:
            return one
    last = max((start for start in record.starts if start <= seen.day), default=record.since)
    if rules.every_days is not None and _days(last, seen.day) >= rules.every_days:
        numbers = {"days": float(_days(last, seen.day)), "every_days": float(rules.every_days)}
        return Trigger("schedule", since=last, numbers=numbers)
    return None


def _obstacle(seen: RetrainingObservation) -> Obstacle | None:
    if seen.champion is None:
        return _NOTHING_SERVES
    return Obstacle("on_trial", seen.on_trial) if seen.on_trial else None


def _paced(record: RetrainingRecord, day: str, rules: Rules) -> Obstacle | None:
    """Why it is too soon. Starts on future days belong to another replay, and do not count."""
    past = [age for age in (_days(start, day) for start in record.starts) if age >= 0]
    if past and min(past) < rules.cool_down_days:
        numbers = {"days": float(min(past)), "cool_down_days": float(rules.cool_down_days)}
        return Obstacle("cool_down", numbers=numbers)
    lately = {"begun": float(sum(age < WEEK for age in past)), "most_per_week": float(rules.most_per_week)}
    return Obstacle("budget", numbers=lately) if lately["begun"] >= rules.most_per_week else None


def _begun(
    record: RetrainingRecord, seen: RetrainingObservation, champion: Release, trigger: Trigger, endpoint: str
) -> tuple[RetrainingRecord, Start]:
    # Platforms never free a job's name, so the second distinguishes a recreated stack of the same name.
    job = f"{endpoint}-{seen.day.replace('-', '')}-{int(seen.now):x}"
    started = seen.entry("started", job=job, through=seen.day, trigger=trigger)
    training = replace(
        record,
        phase=Phase.TRAINING,
        trigger=trigger,
        through=seen.day,
        job=job,
        champion=champion.id,
        requested=None,
        approved=False,
        held=None,
    )
    return training.begun(seen.day).noted(started), Start(job, champion, seen.day)


def _of_job(record: RetrainingRecord, seen: RetrainingObservation) -> tuple[RetrainingRecord, Start | Stop | None]:
    """The record after its job's status. A missing job is created now, unless another champion serves."""
    job = seen.job or JobSeen("missing")
    if job.status == "running":
        return record, Stop(record.job) if record.stopping else None
    if record.stopping:
        return _idle(record), None
    if job.status == "missing":
        if seen.champion and seen.serves == record.champion:
            return record, Start(record.job, seen.champion, record.through)
        never = seen.entry("failed", job=record.job, champion=record.champion, serves=seen.serves)
        return _idle(record).noted(never), None
    if job.status == "failed" or job.report is None:
        why = job.why or "it ended without a report"
        return _idle(record).noted(seen.entry("failed", why, job=record.job)), None
    return _reported(record, seen, job.report), None


def _reported(record: RetrainingRecord, seen: RetrainingObservation, report: Mapping[str, Any]) -> RetrainingRecord:
    numbers = dict(report.get("comparison") or {})
    if report["outcome"] != "better":
        return _idle(record).noted(seen.entry("kept", report["why"], numbers=numbers, job=record.job))
    if seen.champion is None or seen.serves != record.champion:
        late = seen.entry("kept", numbers=numbers, job=record.job, champion=record.champion, serves=seen.serves)
        return _idle(record).noted(late)
    package = {name: report["package"][name] for name in PACKAGE}
    candidate = Candidate(
        through=report["through"],
        recipe=report["recipe"],
        release=release_id(report["recipe"], package["image_uri"]),
        package=package,
        why=record.trigger.why if record.trigger else "",
        champion=record.champion,
    )
    about = {"job": record.job, "release": candidate.release, "through": candidate.through}
    waits = seen.entry("candidate", report["why"], numbers=numbers, **about)
    return _idle(record).with_candidate(candidate).noted(waits)


def _idle(record: RetrainingRecord) -> RetrainingRecord:
    idle = replace(record, phase=Phase.IDLE, trigger=None, through="", job="", champion="")
    return replace(idle, approved=False, stopping="", held=None)


def _days(earlier: str, later: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days
