"""Continues retraining: called if an alarm changes or a training job ends, on a schedule, and by a person."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from modelstack.monitoring.drift.record import newest_day
from modelstack.monitoring.log import log
from modelstack.monitoring.retraining import decision
from modelstack.monitoring.retraining.controller import RetrainingController
from modelstack.monitoring.retraining.decision import NotNow, RetrainingObservation
from modelstack.monitoring.retraining.notice import message
from modelstack.monitoring.retraining.record import RetrainingEvent, RetrainingRecord
from modelstack.monitoring.retraining.rules import read
from modelstack.platforms.aws.clients import calling, clients, count_event
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.handlers.settings import Context, HandlerSettings
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.aws.retraining_executions import Executions
from modelstack.platforms.aws.training import AwsWorld, DynamoBook, TrainingJobs
from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.commands import Commands
from modelstack.services.drift_record import DriftRecord

_CHANGES: Mapping[str, Callable[[RetrainingRecord, RetrainingObservation, str], RetrainingRecord]] = {
    "start": decision.request,
    "approve": decision.approve,
    "decline": decision.decline,
    "stop": decision.stop,
    "forget": decision.forget,
}


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Observe and act. The event matters only if it is a person's: `{"do": .., "reason": ..}`.

    Returns `phase`, `held` and the newest event, or in `refused` why a person's request was not done.
    """
    controller = _controller()
    wish = cast(Mapping[str, Any], event) if isinstance(event, Mapping) and "do" in event else None
    try:
        record = controller.carry_on(_change(wish) if wish is not None else None)
    except NotNow as error:
        return {"refused": str(error)}
    latest = record.history[-1].text if record.history else ""
    held = record.held.text if record.held else ""
    log("retraining", phase=record.phase.value, held=held, latest=latest)
    return {"phase": record.phase.value, "held": held, "latest": latest}


def _change(wish: Mapping[str, Any]) -> Callable[[RetrainingRecord, RetrainingObservation], RetrainingRecord]:
    change, reason = _CHANGES.get(str(wish["do"])), str(wish.get("reason", ""))
    if change is None:
        raise NotNow(f"do: {wish['do']!r} is not allowed, expected one of {', '.join(_CHANGES)}")
    if not reason:
        raise NotNow("reason: it is empty, expected why: it is kept in the history")
    return lambda record, seen: change(record, seen, reason)


def _controller() -> RetrainingController:
    settings = HandlerSettings.from_environment()
    rules, job = read(os.environ["RETRAINING"])
    journal = copied_journal(_clients(), settings.journal, settings.endpoint, settings.by, copies=settings.documents)
    documents, commands = DynamoDocuments(_clients(), settings.documents), Commands.of_stack(settings.stack)

    def day_of(variant: str) -> str:
        newest = newest_day(DriftRecord(documents).read(variant)) if variant else None
        return str(newest or datetime.now(UTC).date())

    def tell(entry: RetrainingEvent) -> None:
        change(journal, lambda state: state.recording(entry.audited()))
        with calling(f"publish to {settings.topic}"):
            _clients()("sns").publish(TopicArn=settings.topic, **message(entry, settings.endpoint, commands))
        count_event(_clients(), settings.endpoint, f"retraining_{entry.kind}", entry.at)

    trainer = Executions(_clients(), job) if job.pipeline else TrainingJobs(_clients(), job)
    return RetrainingController(
        book=DynamoBook(_clients(), settings.journal, settings.endpoint),
        world=AwsWorld(_clients(), journal, settings.endpoint, trainer, day_of),
        tell=tell,
        rules=rules,
        endpoint=settings.endpoint,
    )


_clients = lru_cache(clients)
