"""A model goes from AWS to a cluster, is replaced there under traffic, and its successor goes back: the same bytes.

By the real engine and the genuine plugin, on a real local cloud and a real cluster: each test goes on where the one
before ended. kubectl is the witness.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml

from bench.bed import Bed
from demos.versions import at_fault
from modelstack.cli.local.cluster_image import published
from modelstack.cli.local.stack import Stack
from modelstack.cli.replay import Report, background
from modelstack.cli.target import LOCAL_CLUSTER, resolve
from modelstack.cli.view.snapshot import take
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.gateway import url
from modelstack.platforms.kubernetes.kinds import NAMESPACE, SECRET
from tests.clusters import cluster, reached
from tests.e2e.conftest import FEW, QUICK, RATE, Unpreviewed, having, succeeded, typed
from tests.platforms.load import wait_for
from tests.process import ROOT
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.needs("cluster"), pytest.mark.timeout(1800)]

PATIENCE = 400  # seconds for anything; loose, for the machine may be busy
LONG = {**QUICK, "wait": False, "strategy": {"kind": "canary", "weight": 50, "bake_seconds": 20}}
"""A trial that the update does not wait for: the controller's pods carry it on."""


@dataclass(frozen=True)
class Site:
    """A namespace of the cluster.

    Attributes:
        api: The API server, for that namespace.
    """

    api: Api

    @property
    def model(self) -> str:
        """The model's name there: the database of the cluster tells endpoints apart by their names alone."""
        return self.api.namespace

    def told(self, *words: str) -> str:
        """What kubectl prints."""
        command = ["kubectl", "-n", self.api.namespace, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def weights(self) -> dict[str, int]:
        """Service -> weight in the first rule of the route, without those that get nothing."""
        (route,) = json.loads(self.told("get", "httproutes", "-o", "json"))["items"]
        refs = route["spec"]["rules"][-1]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs if ref["weight"]}


@pytest.fixture(scope="module")
def site(story: Bed) -> Iterator[Site]:
    """A namespace that pods have no rights in, with the Secret of the database; the images are in the registry."""
    with cluster() as here:
        section = _written(LOCAL_CLUSTER)["config"]["modelstack:kubernetes"]
        api = Api.of(section["context"], f"story-{uuid.uuid4().hex[:8]}")
        here.prepare({**section, "namespace": api.namespace})
        published(section["registry"], lambda text: None)
        try:
            yield Site(api)
        finally:
            with suppress(NotFound):
                api.delete(NAMESPACE, api.namespace)


def _written(stack: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())


def written_to(folder: Path, name: str, **sections: dict[str, Any]) -> Path:
    """A copy of a stack's file with other values in some sections."""
    content = _written(name)
    for section, values in sections.items():
        own = content["config"].setdefault(f"modelstack:{section}", {})
        own.update(values)
    path = folder / f"Pulumi.{name}.{len(list(folder.iterdir()))}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def on_aws(story: Bed) -> Stack:
    """A stack on AWS whose champion is a small model."""
    first = having(story.stack.with_parameters(story.folder, **SMALL), QUICK, capture_percent=FEW)
    succeeded(first.up())
    return first


@pytest.fixture(scope="module")
def taking(story: Bed, site: Site, on_aws: Stack) -> Stack:
    """A stack on the cluster that takes its model from the one on AWS."""
    config = written_to(
        story.folder, LOCAL_CLUSTER,
        kubernetes={"namespace": site.api.namespace}, promotion={"from": on_aws.name}, rollout=QUICK,
        model={"name": site.model},
    )  # fmt: skip
    # Pulumi's plugin leaves a kubeconfig in the folder for what is temporary.
    made = Unpreviewed(LOCAL_CLUSTER, {**story.environment, "TMPDIR": str(story.folder)}, config=config)
    succeeded(made.pulumi("stack", "init", made.name))
    return made


@pytest.fixture(scope="module")
def training(story: Bed, site: Site, taking: Stack) -> Stack:
    """The same stack, when it trains a version of its own."""
    config = written_to(
        story.folder, LOCAL_CLUSTER,
        kubernetes={"namespace": site.api.namespace}, rollout=LONG,
        model={"name": site.model, "parameters": {**SMALL, "max_iter": 6}},
    )  # fmt: skip
    return replace(taking, config=config)


@pytest.fixture
def traffic(taking: Stack) -> Iterator[Report]:
    """The model's events at a constant rate, sent to the gateway."""
    with background(resolve(taking.name), RATE) as report:
        yield report


@contextmanager
def s3() -> Iterator[int]:
    """What speaks like S3, at a port of 127.0.0.1: moto, which lets itself be called by any name."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def answer(stack: Stack) -> dict[str, Any]:
    """What a stack answers to the example, once a new gateway can be reached."""

    def invoked() -> Any:
        done = typed("--stack", stack.name, "invoke", str(ROOT / "model" / "example_request.json"))
        return json.loads(done.stdout) if done.exit_code == 0 else None

    return wait_for(invoked, PATIENCE, f"an answer of {stack.name}")


def lost(report: Report) -> list[str]:
    """Requests that came to the gateway and had no good answer; on a starved machine some do not get there in time."""
    return [one.text for one in report.failures if one.answer != "ConnectTimeout"]


def proven_in(stack: Stack, archive: str) -> None:
    """The lineage of the champion tells where its archive lies, and what is signed there is verified."""
    told = typed("--stack", stack.name, "lineage", "--json")
    assert told.exit_code == 0, told.output
    graph = json.loads(told.stdout)
    assert archive in [node["facts"].get("archive") for node in graph["nodes"]]
    assert True in [node["facts"].get("verified") for node in graph["nodes"] if node["kind"] == "key"], graph["unread"]


def unchanged(stack: Stack) -> None:
    """A preview finds nothing to change."""
    succeeded(stack.preview("--expect-no-changes"))


def test_the_champion_of_a_stack_on_aws_serves_on_the_cluster_too(site: Site, on_aws: Stack, taking: Stack) -> None:
    succeeded(taking.up())
    digest = on_aws.outputs()["champion"]
    assert taking.outputs()["champion"] == digest
    assert digest in site.told("get", "modelpackages", "-o", "yaml")
    assert list(site.weights().values()) == [100]
    assert answer(taking) == answer(on_aws)


def test_the_gateway_passes_predictions_alone(site: Site, taking: Stack) -> None:
    """A health check from outside that counted as a request would be evidence for a release."""
    base = url(site.api, taking.outputs()["gateway"])
    assert [httpx.get(f"{base}/{path}", timeout=30).status_code for path in ("ping", "metrics", "v2")] == [404] * 3


def test_a_version_of_its_own_is_tried_by_the_controller_in_the_cluster(
    site: Site, training: Stack, traffic: Report
) -> None:
    before = training.outputs()["champion"]
    succeeded(training.up())
    wait_for(lambda: sorted(site.weights().values()) == [50, 50], PATIENCE, "the trial gets half of the requests")
    unchanged(training)  # in the midst of the trial
    wait_for(lambda: _explained(training)["outcome"] != "running", PATIENCE, "a verdict")
    told = _explained(training)
    assert (told["outcome"], told["source"]) == ("promoted", "judge")
    wait_for(lambda: take(resolve(training.name)).champion_package != before, PATIENCE, "it is champion")
    assert list(site.weights().values()) == [100]
    assert training.outputs()["champion"] == before, "outputs tell of the last update"
    succeeded(training.up())
    assert training.outputs()["champion"] != before
    assert lost(traffic) == []


def test_a_faulty_version_is_taken_back_and_the_update_says_why(
    story: Bed, site: Site, training: Stack, traffic: Report
) -> None:
    champion = training.outputs()["champion"]
    done = at_fault(having(training, QUICK), story.folder).up()
    assert done.code != 0
    told = _explained(training)
    assert told["outcome"] == "rolled_back"
    assert "rolled back" in done.error
    assert list(site.weights().values()) == [100]
    assert training.outputs()["champion"] == champion
    assert "Rejected" in site.told("get", "modelpackages", "-o", "yaml")
    wait_for(lambda: "RolledBack" in site.told("get", "events", "-o", "yaml"), PATIENCE, "an Event tells it")


def test_the_cluster_s_champion_goes_back_to_aws(story: Bed, training: Stack) -> None:
    config = written_to(
        story.folder,
        "local-staging",
        promotion={"from": training.name},
        rollout=QUICK,
        serving={"capture_percent": FEW},
    )
    staging = Unpreviewed("local-staging", story.environment, config=config)
    succeeded(staging.pulumi("stack", "init", staging.name))
    succeeded(staging.up())
    assert staging.outputs()["champion"] == training.outputs()["champion"]
    assert answer(staging) == answer(training)


def test_a_person_takes_the_promotion_back_and_the_first_model_serves_again(
    site: Site, on_aws: Stack, training: Stack
) -> None:
    taken_back = typed("--stack", training.name, "rollback", "--previous", "--yes", "--reason", "sells less")
    assert taken_back.exit_code == 0, taken_back.output
    assert list(site.weights().values()) == [100]
    assert answer(training) == answer(on_aws)
    assert _explained(training)["source"] == "person"


def test_packages_may_go_to_a_bucket_instead(
    story: Bed, site: Site, on_aws: Stack, training: Stack, traffic: Report
) -> None:
    keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
    site.api.create(SECRET, {"metadata": {"name": "bucket-keys"}, "data": data})
    with s3() as port, reached(port) as endpoint:
        boto3.Session().client("s3", endpoint_url=endpoint).create_bucket(Bucket="packages")
        bucket = {"name": "packages", "endpoint": endpoint, "secret": "bucket-keys"}
        config = written_to(
            story.folder, LOCAL_CLUSTER,
            kubernetes={"namespace": site.api.namespace, "bucket": bucket},
            rollout=QUICK, model={"name": site.model, "parameters": {**SMALL, "max_iter": 7}},
        )  # fmt: skip
        stack = replace(training, config=config)
        succeeded(stack.up())
        released = stack.outputs()["release"]
        assert released["archive_uri"].startswith("s3://packages/")
        assert released["package_digest"] == stack.outputs()["champion"]
        assert answer(stack) != answer(on_aws)
        unchanged(stack)
        proven_in(stack, released["archive_uri"])
        before = typed("--stack", stack.name, "restore", "--at", on_aws.outputs()["champion"], "--reason", "sold more")
        assert "its archive is there, and its digest and signature are right" in before.output, "in the registry still"
        assert "nothing was changed: restore asks first" in before.output
    assert lost(traffic) == []


def test_nothing_of_it_is_left_when_the_stack_is_destroyed(site: Site, training: Stack) -> None:
    succeeded(training.pulumi("destroy", "--yes", "--stack", training.name, *training.options()))

    def left() -> str:
        return site.told(
            "get", "deployments,services,httproutes,gateways,rollouts,pods,poddisruptionbudgets", "-o", "name"
        )

    wait_for(lambda: left() == "", PATIENCE, "nothing is left")


def _explained(stack: Stack) -> dict[str, Any]:
    shown = typed("--stack", stack.name, "explain", "--json")
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout)
