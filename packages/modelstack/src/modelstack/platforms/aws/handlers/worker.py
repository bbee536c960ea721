"""The worker of an endpoint on AWS in a function."""

from __future__ import annotations

from functools import lru_cache

from modelstack.monitoring.alarms.outage import Outage
from modelstack.platforms.aws.alarm_states import CloudWatchAlarms
from modelstack.platforms.aws.audit_records import S3Records
from modelstack.platforms.aws.clients import Clients, clients
from modelstack.platforms.aws.counters import CloudWatchCounters
from modelstack.platforms.aws.endpoint import SnsNotify, controller_with
from modelstack.platforms.aws.handlers.settings import HandlerSettings
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.aws.kms_signer import KmsSigner
from modelstack.platforms.clock import SystemClock
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.controller.recorder import Recorder
from modelstack.services.alarms import JudgedAlarms
from modelstack.services.worker import Worker


@lru_cache
def impatient_clients() -> Clients:
    """Clients that give up early."""
    return clients(attempts=2, answer_within=3)


def worker_of(settings: HandlerSettings, make: Clients, soon: Clients) -> Worker:
    """The worker of a function's endpoint.

    `make` gives the clients that move traffic. `soon` gives clients that give up early, for work that must not delay
    it: the check for a shared outage and the audit record.
    """
    commands = Commands.of_stack(settings.stack)
    journal = copied_journal(soon, settings.journal, settings.endpoint, settings.by, copies=settings.documents)
    notify = SnsNotify(soon, settings.topic, settings.endpoint, commands) if settings.topic else None
    recorder = None
    if settings.audit_key:
        recorder = Recorder(journal, S3Records.of(soon, settings.bucket, KmsSigner(soon, settings.audit_key)))
    clock, counters = SystemClock(), CloudWatchCounters(soon, settings.endpoint)
    alarms = JudgedAlarms(CloudWatchAlarms(soon, settings.endpoint), counters, clock)
    return Worker(
        settings.endpoint,
        controller_with(
            make,
            settings.endpoint,
            settings.journal,
            by=settings.by,
            topic=settings.topic,
            commands=commands,
            copies=settings.documents,
        ),
        journal,
        Outage(alarms.numbers, Outbox(journal, notify, clock)),
        recorder,
    )
