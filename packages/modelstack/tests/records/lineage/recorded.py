"""A package with a whole life: built, agreed to, tried, promoted, taken by another stack, taken back, and restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelstack.records.audit.record import AuditRecord, RecordKind, moment
from modelstack.records.lineage.facts import LineageVersion, Stack
from modelstack.records.lineage.graph import Graph
from modelstack.records.lineage.package import lineage
from modelstack.records.provenance.facts import Builder, Facts
from tests.records.provenance.conftest import FACTS

DIGEST, OTHER = FACTS.package.digest, "sha256:" + "9" * 64
OURS, THEIRS = "8ead519c468b", "9" * 12
ADA, BOB = "arn:aws:iam::000000000000:user/ada", "arn:aws:iam::000000000000:user/bob"
CI = "arn:aws:sts::000000000000:assumed-role/deploy/ci"
ADVANCE = "function flight-delay-dev-advance"
TAKEN_BACK = {"source": "person", "name": "bob", "said": "customers complain", "kind": "taken_back"}
FIRST = {"source": "release", "name": "first", "kind": "first"}


def arn(stack: str, number: int) -> str:
    return f"arn:aws:sagemaker:us-east-1:000000000000:model-package/flight-delay-{stack}/{number}"


def at(second: int) -> str:
    return moment(1_700_000_000 + second)


def records(stack: str, *rows: tuple[int, RecordKind, str, str, str, Mapping[str, Any]]) -> tuple[AuditRecord, ...]:
    """Records of (second, kind, who, event, release, more)."""
    packages = {OURS: DIGEST, THEIRS: OTHER}
    return tuple(
        AuditRecord(
            number,
            at(second),
            f"flight-delay-{stack}",
            kind,
            who,
            {"event": event, "release": release, "package": packages[release], "rollout": f"r-{release[:2]}", **more},
        )
        for number, (second, kind, who, event, release, more) in enumerate(rows, 1)
    )


HERE = LineageVersion(
    arn("dev", 3),
    at(10),
    OURS,
    DIGEST,
    FACTS.recipe.digest,
    "registry/serving:1",
    "s3://artifacts/packages/aa/model.tar.gz",
    "Approved",
    by=CI,
)
AGREED = {"who": ADA, "why": "looks well", "rollout": ""}
DEV = Stack(
    "dev",
    "flight-delay-dev",
    (HERE,),
    records(
        "dev",
        (1, RecordKind.RELEASE, CI, "moving", THEIRS, {}),
        (2, RecordKind.PROMOTION, CI, "promoted", THEIRS, {"reason": FIRST}),
        (20, RecordKind.APPROVAL, CI, "agreed", OURS, AGREED),
        (21, RecordKind.RELEASE, CI, "preparing", OURS, {"champion": THEIRS}),
        (30, RecordKind.DECISION, ADVANCE, "promoting", OURS, {}),
        (31, RecordKind.PROMOTION, ADVANCE, "promoted", OURS, {}),
        (50, RecordKind.DECISION, BOB, "restoring", OURS, {"reason": TAKEN_BACK, "champion": THEIRS}),
        (55, RecordKind.RESTORE, ADVANCE, "rolled_back", OURS, {"reason": TAKEN_BACK, "champion": THEIRS}),
        (60, RecordKind.CLEAR, ADA, "cleared", OURS, {}),
    ),
    champion=THEIRS,
    champion_digest=OTHER,
    keys={"a" * 12: True},
)
PROD = Stack(
    "prod",
    "flight-delay-prod",
    (replace(HERE, arn=arn("prod", 1), created=at(40), by=BOB, more={"promoted_from": HERE.arn}),),
    records(
        "prod",
        (41, RecordKind.RELEASE, BOB, "moving", OURS, {}),
        (42, RecordKind.PROMOTION, BOB, "promoted", OURS, {"reason": FIRST}),
    ),
    champion=OURS,
    champion_digest=DIGEST,
    keys={"a" * 12: False, "b" * 12: True},
)


def graph(*stacks: Stack) -> Graph:
    return lineage(DIGEST, FACTS, stacks or (DEV, PROD))


_BUILDER, _ARN = "urn:modelstack:builder:sagemaker", "arn:aws:sagemaker:us-east-1:000000000000"
RETRAINERS = (
    Builder(f"{_BUILDER}-training-job", f"{_ARN}:training-job/retrain-2", "2026-11-28T12:00:00Z"),
    Builder(
        f"{_BUILDER}-pipeline",
        f"{_ARN}:pipeline/flight-delay-dev/execution/abcdef012345",
        "2026-11-28T12:00:00Z",
        job=f"{_ARN}:training-job/pipelines-abcdef012345-build-x",
    ),
)
"""What runs a retraining: a training job of its name, or an execution of its name, whose job has another."""


def retrained(builder: Builder) -> tuple[Stack, Facts]:
    """The package as one that a retraining made, after another retraining that came to nothing."""
    alarm = {"kind": "drift", "alarm": "flight-delay-dev-v-9-drift", "said": ""}
    told: tuple[dict[str, Any], ...] = (
        {"event": "asked", "trigger": {"kind": "person", "said": "of another job"}},
        {"event": "started", "job": "retrain-1", "trigger": {"kind": "person", "said": "of another job"}},
        {"event": "asked", "trigger": alarm},
        {"event": "approved", "said": "by ada: new destinations"},
        {"event": "started", "job": "retrain-2", "trigger": alarm},
        {"event": "candidate", "job": "retrain-2", "release": OURS},
    )
    who = "function flight-delay-dev-retrain"
    recorded = tuple(
        AuditRecord(number, at(number), DEV.endpoint, RecordKind.RETRAINING, who, what)
        for number, what in enumerate(told, 1)
    )
    version = replace(HERE, more={"retrained_from": OTHER, "retrained_through": "2013-06-16"})
    facts = replace(FACTS, builder=builder, source=replace(FACTS.source, commit=None))
    return replace(DEV, versions=(version,), records=recorded), facts
