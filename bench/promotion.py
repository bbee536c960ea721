"""How long does a package that exists take to the next stack, which is in another account?"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import yaml

from bench.bed import Bed, BenchError, must
from bench.rows import Row, sized
from localcloud import process
from modelstack.cli.local.stack import Stack
from modelstack.services.sealed_packages import folder_of

ACCOUNT = "222222222222"
_NAME = "local-staging"
_REPEATS = 3
_SMALL = {"learning_rate": 0.1, "folds": 0, "train_from": "2013-02-15", "evaluate_until": "2013-03-04"}
"""A model that is trained in seconds: its training is not measured here."""
_AT_ONCE = {"wait": True, "strategy": {"kind": "all_at_once", "bake_seconds": 1}, "replay": None}


def rows(bed: Bed) -> list[Row]:
    """Promote one version after the other from stack `local` into another account; medians.

    Measured is the whole `pulumi up` of a stack that starts the trial of the package and does not wait for its end.
    """
    following = _following(bed)
    spent, differ = [], 0
    for number in range(sized(_REPEATS, 1) + 1):
        source = _released(bed, number)
        begun = time.monotonic()
        must(following.up(), "pulumi up of the stack that takes the package")
        took, taken = time.monotonic() - begun, following.outputs()
        differ += _archive(source, bed.environment) != _archive(taken, following.environment)
        if number:  # the first one makes the stack, and has no champion to be tried beside
            spent.append(took)
            if taken["challenger"] != source["champion"]:
                raise BenchError(f"no trial began of {source['champion']}: on trial is {taken['challenger']}")
    beside = f"{len(spent)} of them, from the command to the beginning of the trial, preview included"
    return [
        Row("promotion_s", round(statistics.median(spent), 2), "s", "< 15", beside),
        Row("promotion_archives_differ", differ, "archives", "== 0", f"of {len(spent) + 1}, compared byte by byte"),
    ]


def _following(bed: Bed) -> Stack:
    """The next stack, in an account of its own, not yet up."""
    keys = process.keys(bed.cloud, ACCOUNT)
    written = Stack(_NAME).written()
    written["config"]["modelstack:rollout"]["wait"] = False
    stack = Stack(_NAME, {**bed.stack.environment, **keys}, bed.stack.root, _file(bed.folder, written))
    must(stack.pulumi("stack", "init", _NAME), "pulumi stack init of the next stack")
    return stack


def _released(bed: Bed, number: int) -> dict[str, Any]:
    """Let the source serve another small version at once; its outputs."""
    written = bed.stack.with_parameters(bed.folder, **_SMALL, max_iter=5 + number).written()
    written["config"]["modelstack:rollout"] = _AT_ONCE
    written["config"]["modelstack:promotion"] = {"to": [ACCOUNT]}
    stack = replace(bed.stack, config=_file(bed.folder, written))
    must(stack.up(), "pulumi up of the stack that the package is taken from")
    return stack.outputs()


def _archive(outputs: Mapping[str, Any], environment: Mapping[str, str]) -> bytes:
    """The archive that a stack has of its newest package."""
    digest = outputs["challenger"] or outputs["champion"]
    s3 = boto3.Session(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]).client("s3")
    return s3.get_object(Bucket=outputs["artifact_bucket"], Key=f"{folder_of(digest)}/model.tar.gz")["Body"].read()


def _file(folder: Path, content: Mapping[str, Any]) -> Path:
    with tempfile.NamedTemporaryFile("w", prefix="Pulumi.", suffix=".yaml", dir=folder, delete=False) as file:
        yaml.safe_dump(dict(content), file)
    return Path(file.name)
