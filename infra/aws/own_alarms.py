"""The two alarms on what acts and watches: one wakes somebody, the other waits for the day."""

from __future__ import annotations

import math
from typing import Any

import pulumi

from infra.aws.alarm import LOOKED_BACK, Query, declared, read
from infra.aws.site import Site
from infra.config.monitoring_settings import MonitoringSettings
from monitoring.published import DELAY, DRIFT_UNMEASURED
from platforms.aws.metrics import DEPTH, ERRORS, FUNCTION, LAMBDA, QUEUE, SQS, place
from platforms.aws.names import Names
from rollout.core.catalogue import OWN
from services.declaration.alarm_names import FAILING

LATE_MINUTES = 15
_LATE_FILES = 3
"""So many in one period must all be late: one or two that a person sends again are no backlog."""
_MINUTE, _PERIOD = 60, 180


def rollback_fails(site: Site, opts: pulumi.ResourceOptions) -> None:
    """Declare the alarm that pages when an alarm on a release was, or may be, not acted upon."""
    names = site.names
    # A minute: of a failure and a success after it in one period, CloudWatch sees the failure again when both are past.
    counts = [_failed(names, "rollback", _MINUTE), _waiting("alarms", names.dead_letters, _MINUTE)]
    _alarm(
        site,
        "rollback",
        text=f"An alarm may not have been acted upon: {names.function('rollback')} failed, or the alarm lies in "
        f"{names.dead_letters}. Look whether the champion has all traffic, then read the queue.",
        severity="page",
        section="read-a-dead-letter-queue",
        queries=[*counts, _most([str(query.id) for query in counts])],
        opts=opts,
    )


def functions_fail(site: Site, settings: MonitoringSettings, opts: pulumi.ResourceOptions) -> None:
    """Declare the alarm that asks for a ticket when what carries trials on, or watches, does not do its work.

    It lasts for two sweeps of the drift function, which says once a sweep that drift cannot be measured.

    Args:
        site: What all functions of the stack have.
        settings: How often drift is measured.
        opts: Options of the alarm.
    """
    names, endpoint = site.names, place(site.names.endpoint)
    counts = [
        *(_failed(names, handler) for handler in site.scheduled),
        _waiting("captured_files", names.captures_dead_letters),
        _waiting("labelled_files", names.labels_dead_letters),
        read("unmeasured", OWN, DRIFT_UNMEASURED, endpoint, stat="Sum", period=_PERIOD),
    ]
    late = f"IF(delay > {60 * LATE_MINUTES} AND files >= {_LATE_FILES}, 1, 0)"
    _alarm(
        site,
        "functions",
        text="A function, not that of the rollback, does not do its work. It failed; or an event that it could not "
        f"handle lies in {names.captures_dead_letters} or {names.labels_dead_letters}; or drift cannot be measured; or "
        f"captures and labels are counted more than {LATE_MINUTES} minutes after they came. The dashboard "
        f"{names.dashboard} shows which, the log {names.log} why.",
        severity="ticket",
        section="a-function-fails",
        queries=[
            *counts,
            read("delay", OWN, DELAY, endpoint, stat="Minimum", period=_PERIOD),
            read("files", OWN, DELAY, endpoint, stat="SampleCount", period=_PERIOD),
            Query(id="late", expression=late, label="late", return_data=False),
            _most([*(str(query.id) for query in counts), "late"]),
        ],
        periods=max(1, min(math.ceil(2 * 60 * settings.drift_minutes / _PERIOD), LOOKED_BACK // _PERIOD)),
        opts=opts,
    )


def _alarm(site: Site, subject: str, *, periods: int = 1, **rule: Any) -> None:
    declared(
        site.names,
        subject,
        FAILING,
        missing="notBreaching",  # counts of failures: nothing ran, nothing failed
        born=site.born,
        threshold=0,
        evaluation_periods=periods,
        alarm_actions=[site.alerts],
        **rule,
    )


def _failed(names: Names, handler: str, period: int = _PERIOD) -> Query:
    """How often a function failed."""
    return read(handler, LAMBDA, ERRORS, {FUNCTION: names.function(handler)}, stat="Sum", period=period)


def _waiting(id_: str, queue: str, period: int = _PERIOD) -> Query:
    """How many events lie in a dead-letter queue."""
    return read(id_, SQS, DEPTH, {QUEUE: queue}, stat="Maximum", period=period)


def _most(counts: list[str]) -> Query:
    """What the alarm rings on: the largest count. One that has no data, such as an idle queue's, counts as none."""
    return Query(id="most", expression=f"MAX([{', '.join(counts)}])", label="failures", return_data=True)
