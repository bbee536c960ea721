"""A retraining as an execution of the stack's pipeline: the champion's own code, on data up to a day.

The record has the name of the execution, chosen before it starts; the outputs of the steps give its result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.retraining.decision import JobSeen, Start
from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.monitoring.retraining.rules import JobSettings
from modelstack.platforms.aws import executions
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.executions import UNDER_WAY, ExecutionRequest, ExecutionStatus

_STOPPED = "it was stopped"


@dataclass(frozen=True)
class Executions:
    """`Trainer` of executions of a pipeline."""

    clients: Clients
    settings: JobSettings

    def create(self, start: Start) -> None:
        """See `Trainer`; an execution of that name that is under way is the same."""
        executions.begin(self.clients, asked(start, self.settings))

    def stop(self, job: str) -> None:
        if arn := executions.find(self.clients, self.settings.pipeline, job, UNDER_WAY):
            executions.stop(self.clients, arn)

    def seen(self, record: RetrainingRecord) -> JobSeen:
        arn = executions.find(self.clients, self.settings.pipeline, record.job)
        if arn is None:
            return JobSeen("missing")
        seen = executions.look(self.clients, arn)
        if seen.under_way:
            return JobSeen("running")
        if report := self._report(seen, record.through):
            return JobSeen("completed", report=report)
        if seen.status == "Stopped":
            return JobSeen("failed", _STOPPED)
        failed = seen.failed
        told = executions.failure(self.clients, self.settings.folder, failed) if failed else ""
        return JobSeen("failed", told or (failed.why if failed else "") or seen.why)

    def _report(self, seen: ExecutionStatus, through: str) -> Mapping[str, Any] | None:
        """A report like a training job's, see `modelstack.pipeline.candidate.Report`; None without outputs."""
        folder, failed = self.settings.folder, seen.failed
        if refused := executions.refusal(self.clients, folder, failed) if failed else None:
            return {"outcome": "refused", "why": refused.why, "through": through}
        verdict = executions.outcome(self.clients, folder, seen, "check", "gate/verdict.json")
        if verdict is None:
            return None
        compared = executions.outcome(self.clients, folder, seen, "check", "compare/compared.json") or {}
        told = {"why": verdict["why"], "through": through, "comparison": compared.get("comparison")}
        if not verdict["passed"]:
            return {"outcome": verdict["outcome"], **told}
        package = executions.outcome(self.clients, folder, seen, "release", "register/registered.json")
        return package and {"outcome": "better", **told, "recipe": package["recipe"], "package": package}


def asked(start: Start, settings: JobSettings) -> ExecutionRequest:
    """The execution of a retraining."""
    champion = start.champion
    place = {"bucket": settings.bucket, "group": settings.group, "region": settings.region}
    place |= {"platform": "aws", "signing_key": settings.signing_key, "image_uri": champion.image_uri}
    lineage = {"retrained_from": champion.package_digest, "retrained_through": start.through}
    return ExecutionRequest(
        settings.pipeline,
        settings.folder,
        start.job,
        folders={"code": champion.archive_uri, "champion": champion.archive_uri},
        texts={
            "code_digest": champion.package_digest,
            "champion_digest": champion.package_digest,
            "through": start.through,
            "gates": _json(settings.gates),
            "min_gain": str(settings.min_gain),
            "place": _json(place),
            "lineage": _json(lineage),
        },
        takes=settings.takes,
        says=f"the champion {champion.id}, trained anew on data to {start.through}",
    )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
