"""What an update spends on MLflow: on a build, when it is up and when it is down."""

from __future__ import annotations

import socket
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench import ROOT
from bench.bed import Bed, BenchError, must
from bench.rows import Row, sized
from bench.updates import unchanged_up
from localcloud.setup import Places
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.mlflow_server import MlflowServer, stop
from modelstack.cli.local.stack import Stack
from modelstack.records.provenance.facts import (
    Builder,
    Environment,
    Facts,
    Interval,
    Metric,
    Recipe,
    SealedArchive,
    Source,
)
from modelstack.records.tracking.api import opened
from modelstack.records.tracking.build import Build
from modelstack.records.tracking.connection import bearer
from modelstack.records.tracking.logged import Shelf, log_build

_REPEATS = 5


def rows(bed: Bed) -> list[Row]:
    """The calls of a build against a real server, and what an outage adds to a `pulumi up` that would tell of one."""
    with TemporaryDirectory(prefix="modelstack-mlflow-") as folder:
        try:
            server = replace(MlflowServer.here(Places.of(ROOT)), folder=Path(folder))
            url = server.start(_free_port())
        except OperatorError as error:
            raise BenchError(str(error)) from error
        try:
            spent = [_told(url, number) for number in range(sized(_REPEATS, 1))]
        finally:
            stop(server.folder)
    without, down = _updates(bed)
    beside = f"{down:.2f} s in an outage, {without:.2f} s with nothing to tell"
    return [
        Row("mlflow_calls_s", round(statistics.median(spent), 2), "s", "<= 1", "a build with its run and version"),
        Row("mlflow_down_s", round(down - without, 2), "s", "<= 1", beside),
    ]


def _told(url: str, number: int) -> float:
    """Seconds of telling a server of a build that it does not know."""
    begun = time.monotonic()
    with opened(url, bearer({}), 60) as api:
        log_build(api, _build(number), Shelf("bench", "bench"))
    return time.monotonic() - begun


def _updates(bed: Bed) -> tuple[float, float]:
    """Seconds of an update with no changes, and of one that tries in vain to tell MLflow of the package: medians."""
    repeats = range(sized(_REPEATS, 1))
    without = [unchanged_up(bed.stack) for _ in repeats]
    shown = _shown(bed.stack, f"http://127.0.0.1:{_free_port()}", bed.folder)
    must(shown.up(), "the update that first tries to tell MLflow")
    down = [_updated(shown) for _ in repeats]
    must(bed.stack.up(), "the update that tells MLflow nothing any more")
    return statistics.median(without), statistics.median(down)


def _updated(stack: Stack) -> float:
    begun = time.monotonic()
    done = must(stack.up(), "pulumi up while MLflow is down")
    if "MLflow does not know of" not in done.output:
        raise BenchError(f"an update did not try to tell MLflow:\n{done.output[-2000:]}")
    return time.monotonic() - begun


def _shown(stack: Stack, server: str, folder: Path) -> Stack:
    """The same stack, shown in an MLflow."""
    content = yaml.safe_load((stack.config or ROOT / "stacks" / f"Pulumi.{stack.name}.yaml").read_text())
    content["config"]["modelstack:mlflow"] = {"server": server}
    path = folder / f"Pulumi.{stack.name}-mlflow.yaml"
    path.write_text(yaml.safe_dump(content))
    return replace(stack, config=path)


def _build(number: int) -> Build:
    """A build with as much to tell as the default model's."""
    digest = f"{number:064x}"
    metrics = tuple(Metric(f"metric_{at}", 0.5, Interval(0.4, 0.6, 0.95)) for at in range(10))
    parameters = {f"parameter_{at}": at for at in range(20)}
    facts = Facts(
        package=SealedArchive(f"sha256:{digest}", 900_000, digest),
        recipe=Recipe(digest, digest, digest, digest, format="8", python="3.11", parameters=parameters),
        source=Source("b" * 40, dirty=False),
        data=(),
        data_version="",
        dependencies=(),
        trained_on={"rows": 27_004},
        metrics=metrics,
        environment=Environment("CPython 3.11.7", "Linux", "x86_64"),
        builder=Builder("urn:modelstack:builder:local", None, "2026-01-01T00:00:00Z"),
    )
    return Build.of(facts, archive_uri=f"s3://bench/{digest}/model.tar.gz", version="bench", card=b"# Card\n" * 800)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
