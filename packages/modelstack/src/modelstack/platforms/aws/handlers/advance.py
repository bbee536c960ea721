"""The scheduled tick: moves the rollout, writes its lineage, audit record and MLflow runs, and watches the endpoint."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from modelstack.monitoring.log import log
from modelstack.platforms.aws import lineage
from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.handlers.settings import Context, HandlerSettings, seconds_left
from modelstack.platforms.aws.handlers.watch import watch
from modelstack.platforms.aws.handlers.worker import impatient_clients, worker_of
from modelstack.records.lineage.downstream import ended
from modelstack.records.lineage.graph import Graph, Node
from modelstack.rollout.controller.controller import Progress
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState

_written: dict[str, Node] = {}  # to SageMaker's lineage, by this process
_FOLLOW_SECONDS = 20.0  # for which a call continues, so that short waits do not need the next call


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Do all that can be done now or soon, then record and publish it; after an error the next call continues."""
    settings, now = HandlerSettings.from_environment(), time.time()
    try:
        return _advance(settings, context)
    finally:  # a rollout that cannot move does not mean that the endpoint is silent
        watch(settings, now)


def _advance(settings: HandlerSettings, context: Context | None) -> dict[str, Any]:
    worker = worker_of(settings, _clients(), impatient_clients())
    state = worker.controller.follow(seconds_left(context, most=_FOLLOW_SECONDS), poll=5, progress=_log)
    _write_lineage(settings, state)
    try:
        if put := worker.record(state):
            log("audit", records=put)
    finally:
        if settings.mlflow:
            _mirror(settings, state)
    return {"phase": state.phase.value, "rollout_id": state.rollout_id, "weights": dict(state.weights)}


def _write_lineage(settings: HandlerSettings, state: RolloutState) -> None:
    """Write the lineage of recently ended rollouts. Failures are logged, and the next call retries."""
    for node in ended(state.history, settings.endpoint):
        try:
            if _written.get(node.id) != node:
                lineage.write(Graph("", (node,)), impatient_clients(), settings.endpoint)
                _written[node.id] = node
        except Exception as error:  # whatever it is, nothing waits for a lineage
            log("lineage", rollout=node.id.rpartition("/")[2], failed=f"{type(error).__name__}: {error}")
            return


def _mirror(settings: HandlerSettings, state: RolloutState) -> None:
    from modelstack.platforms.aws.mlflow import credentials, mlflow  # noqa: PLC0415 - of a stack with an MLflow alone
    from modelstack.records.tracking.connection import TICK_SECONDS  # noqa: PLC0415
    from modelstack.records.tracking.logged import Shelf  # noqa: PLC0415
    from modelstack.services.worker import mirror  # noqa: PLC0415

    def opened() -> AbstractContextManager[Any]:
        return mlflow(settings.mlflow, credentials(impatient_clients(), settings.mlflow_secret), TICK_SECONDS)

    shelf = Shelf(settings.mlflow_experiment or settings.endpoint, settings.endpoint)
    mirror(opened, shelf, state, _manifest, time.time())


def _manifest(release: Release) -> bytes:
    from modelstack.platforms.aws.packages import manifest  # noqa: PLC0415 - see above

    return manifest(impatient_clients(), release)


def _log(progress: Progress) -> None:
    shares = progress.live.shares() if progress.live else None
    log("tick", phase=progress.state.phase.value, step=progress.state.step, live=shares, doing=progress.doing)


_clients = lru_cache(clients)
