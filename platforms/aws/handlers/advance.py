"""Carries the rollout on when nobody waits for it, then writes its lineage, puts the audit record away, tells MLflow.

It is a scheduled tick.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from monitoring.log import log
from platforms.aws import rollout_entities
from platforms.aws.clients import clients
from platforms.aws.endpoint import controller_with
from platforms.aws.handlers.settings import Context, Settings, seconds_left
from platforms.aws.journal import DynamoJournal
from platforms.aws.kms_signer import KmsSigner
from platforms.aws.records import S3Records
from rollout.controller.commands import Commands
from rollout.controller.controller import Progress
from rollout.controller.recorder import Recorder
from rollout.core.release import Release
from rollout.core.state import RolloutState

_FOLLOW_SECONDS = 20.0  # for which a call goes on, so that what can be done soon need not wait for the next


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Do all that can be done now, and a little of what can be done soon. At the end, tell of it.

    Raises:
        RolloutError: Something of it cannot be done; the next call goes on.
    """
    settings = Settings.from_environment()
    commands = Commands.of_stack(settings.stack)
    controller = controller_with(
        _clients(), settings.endpoint, settings.journal, by=settings.by, topic=settings.topic, commands=commands
    )
    state = controller.follow(seconds_left(context, most=_FOLLOW_SECONDS), poll=5, progress=_tell)
    _write_lineage(settings, state)
    try:
        if settings.audit_key:
            _record(settings)
    finally:
        if settings.mlflow:
            _mirror(settings, state)
    return {"phase": state.phase.value, "rollout_id": state.rollout_id, "weights": dict(state.weights)}


def _write_lineage(settings: Settings, state: RolloutState) -> None:
    """SageMaker's lineage of the rollouts that ended lately. What fails is logged, and the next call tries it again."""
    for ending in rollout_entities.endings(state.history):
        try:
            _written(settings.endpoint, ending)
        except Exception as error:  # whatever it is, nothing waits for a lineage
            log("lineage", rollout=ending.rollout_id, failed=f"{type(error).__name__}: {error}")
            return


@lru_cache(maxsize=100)
def _written(endpoint: str, ending: rollout_entities.Ending) -> None:
    """Write it once; what is raised is not remembered."""
    rollout_entities.write(ending, _impatient_clients(), endpoint)


def _record(settings: Settings) -> None:
    """Over clients that give up soon: what cannot be put now is put by the next call."""
    make = _impatient_clients()
    records = S3Records(make, settings.bucket, KmsSigner(make, settings.audit_key))
    journal = DynamoJournal(make, settings.journal, settings.endpoint, settings.by)
    put = Recorder(journal, records).put()
    if put:
        log("audit", records=put)


def _mirror(settings: Settings, state: RolloutState) -> None:
    """Tell MLflow how rollouts stand. What fails is logged, and the next call tells it."""
    from platforms.aws.mlflow import mlflow  # noqa: PLC0415 - see below
    from platforms.aws.mlflow_secret import credentials  # noqa: PLC0415 - of a stack with an MLflow alone
    from platforms.mirroring import TICK_SECONDS  # noqa: PLC0415
    from tracking.logged import Shelf  # noqa: PLC0415
    from tracking.mirror import mirror  # noqa: PLC0415

    try:
        known = credentials(_impatient_clients(), settings.mlflow_secret)
        with mlflow(settings.mlflow, known, TICK_SECONDS) as api:
            shelf = Shelf(settings.mlflow_experiment or settings.endpoint, settings.endpoint)
            unknown = mirror(api, shelf, state, _manifest, time.time())
    except Exception as error:  # whatever it is, nothing waits for a mirror
        log("mlflow", failed=f"{type(error).__name__}: {error}")
        return
    if unknown:
        log("mlflow", unknown=list(unknown), until="the update that began it has ended")


def _manifest(release: Release) -> bytes:
    from platforms.aws.packages import MANIFEST, proven  # noqa: PLC0415 - of a stack with an MLflow alone

    return proven(_impatient_clients(), release, MANIFEST, release.manifest_sha256)


def _tell(progress: Progress) -> None:
    shares = progress.live.shares() if progress.live else None
    log("tick", phase=progress.state.phase.value, step=progress.state.step, live=shares, doing=progress.doing)


_clients = lru_cache(clients)


@lru_cache
def _impatient_clients() -> Any:
    return clients(attempts=2, answer_within=3)
