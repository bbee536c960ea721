"""The plugin as the engine sees it: a process, spoken to over gRPC."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from localcloud.awsplugin.wire import Archive, Asset, decode_map, encode_map

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": [f"{one}.amazonaws.com" for one in ("lambda", "sagemaker", "scheduler")]},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
CODE = Archive(assets={"index.py": Asset(text="def handler(event, context):\n    return 1\n")}, hash="a" * 64)


@dataclass
class Made:
    """A resource as the engine keeps it between calls."""

    urn: str
    ident: str
    inputs: dict[str, Any]
    state: dict[str, Any]


class Refused(Exception):
    """Inputs that Check refused: `failures` maps a property path to the reason."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__(str(failures))
        self.failures = failures


class Plugin:
    """A client of one plugin process, configured."""

    def __init__(self, port: int, **args: Any) -> None:
        options = [("grpc.max_receive_message_length", 2**28)]
        self.stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}", options))
        self.stub.Configure(provider_pb2.ConfigureRequest(args=encode_map(args)))

    def check(
        self, token: str, inputs: dict[str, Any], name: str = "thing", old: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Inputs as checked."""
        request = provider_pb2.CheckRequest(
            urn=urn_of(token, name), news=encode_map(inputs), olds=encode_map(old or {}), randomSeed=os.urandom(32)
        )
        answer = self.stub.Check(request)
        if answer.failures:
            raise Refused({f.property: f.reason for f in answer.failures})
        return decode_map(answer.inputs)

    def create(self, token: str, inputs: dict[str, Any], name: str = "thing") -> Made:
        """Check and create."""
        checked = self.check(token, inputs, name)
        answer = self.stub.Create(
            provider_pb2.CreateRequest(urn=urn_of(token, name), properties=encode_map(checked), timeout=120)
        )
        return Made(urn_of(token, name), answer.id, checked, decode_map(answer.properties))

    def record(self, token: str, ident: str, inputs: dict[str, Any], state: Any) -> Made:
        """What the engine would keep of a resource; `state` as a struct."""
        return Made(urn_of(token, "thing"), ident, inputs, decode_map(state))

    def foresee(self, token: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs of a creation in a preview."""
        request = provider_pb2.CreateRequest(urn=urn_of(token, "thing"), properties=encode_map(inputs), preview=True)
        return decode_map(self.stub.Create(request).properties)

    def wanted(self, made: Made, changes: dict[str, Any]) -> dict[str, Any]:
        """Checked inputs of a resource with changes; None removes."""
        inputs = {k: v for k, v in {**made.inputs, **changes}.items() if v is not None and k != "__defaults"}
        for name in made.inputs.get("__defaults", []):
            if name not in changes:
                inputs.pop(name, None)
        return self.check(made.urn.split("::")[2], inputs, made.urn.split("::")[3], old=made.inputs)

    def diff(self, made: Made, inputs: dict[str, Any], ignore: tuple[str, ...] = ()) -> Any:
        """The engine's view of a change."""
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                urn=made.urn,
                id=made.ident,
                olds=encode_map(made.state),
                old_inputs=encode_map(made.inputs),
                news=encode_map(inputs),
                ignoreChanges=ignore,
            )
        )

    def changes(self, made: Made, inputs: dict[str, Any] | None = None, ignore: tuple[str, ...] = ()) -> set[str]:
        """Changed paths."""
        return set(self.diff(made, made.inputs if inputs is None else inputs, ignore).detailedDiff)

    def update(self, made: Made, inputs: dict[str, Any], ignore: tuple[str, ...] = (), preview: bool = False) -> Made:
        """Update in place."""
        request = provider_pb2.UpdateRequest(
            urn=made.urn,
            id=made.ident,
            olds=encode_map(made.state),
            old_inputs=encode_map(made.inputs),
            news=encode_map(inputs),
            ignoreChanges=ignore,
            preview=preview,
        )
        return Made(made.urn, made.ident, inputs, decode_map(self.stub.Update(request).properties))

    def refresh(self, made: Made) -> Made | None:
        """The resource as it is now; None when it is gone."""
        request = provider_pb2.ReadRequest(
            urn=made.urn, id=made.ident, properties=encode_map(made.state), inputs=encode_map(made.inputs)
        )
        answer = self.stub.Read(request)
        if not answer.id:
            return None
        return Made(made.urn, answer.id, decode_map(answer.inputs), decode_map(answer.properties))

    def adopt(self, token: str, ident: str) -> Made:
        """Import by id alone."""
        answer = self.stub.Read(provider_pb2.ReadRequest(urn=urn_of(token, "adopted"), id=ident))
        assert answer.id, f"{ident} was not found"
        return Made(urn_of(token, "adopted"), answer.id, decode_map(answer.inputs), decode_map(answer.properties))

    def delete(self, made: Made) -> None:
        """Delete."""
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                urn=made.urn, id=made.ident, properties=encode_map(made.state), old_inputs=encode_map(made.inputs)
            )
        )

    def call(self, token: str, **args: Any) -> dict[str, Any]:
        """Invoke a function."""
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=encode_map(args)))
        if answer.failures:
            raise Refused({f.property: f.reason for f in answer.failures})
        return decode_map(getattr(answer, "return"))


def urn_of(token: str, name: str) -> str:
    return f"urn:pulumi:test::project::{token}::{name}"


def environment(place: Any, home: Path) -> dict[str, str]:
    """What a shell of a local stack sets: that of a cloud, or of a URL where nobody looks at the keys."""
    keys = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobody", "AWS_ENDPOINT_URL": place}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_"))}
    return {
        **kept,
        "PULUMI_HOME": str(home),
        **(keys if isinstance(place, str) else place.environment()),
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def started(env: dict[str, str]) -> Iterator[int]:
    """A plugin process; the port that it serves on."""
    command = [sys.executable, "-m", "localcloud.awsplugin", "127.0.0.1:1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def hosting(cloud: Any) -> Any:
    """The shared real cloud, running."""
    return cloud


@pytest.fixture(scope="session")
def start_plugin() -> Callable[..., Any]:
    """Starts a plugin process with an environment; a context manager that gives its port."""
    return started


@pytest.fixture(scope="session")
def connect() -> type[Plugin]:
    """Connects to a plugin's port and configures it."""
    return Plugin


@pytest.fixture(scope="session")
def shell_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], dict[str, str]]:
    """The environment of a shell of a local stack of a cloud, or at a URL."""
    return partial(environment, home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def plugin(hosting: Any, shell_of: Callable[[Any], dict[str, str]]) -> Iterator[Plugin]:
    """A plugin of the hosting cloud."""
    with started(shell_of(hosting)) as port:
        yield Plugin(port)


@pytest.fixture(scope="session")
def offline(shell_of: Callable[[Any], dict[str, str]]) -> Iterator[Plugin]:
    """A plugin of a cloud that does not answer: nothing that it does may need the network."""
    with started(shell_of("http://127.0.0.1:9")) as port:
        yield Plugin(port)


class World:
    """A cloud with what resources need of one another, under names that no other test has."""

    def __init__(self, cloud: Any, plugin: Plugin) -> None:
        self.cloud = cloud
        self.plugin = plugin
        self.prefix = f"w{uuid.uuid4().hex[:6]}"
        self.made: list[Made] = []

    def client(self, service: str) -> Any:
        """A boto3 client: the hand that changes things behind the plugin's back."""
        return self.cloud.client(service)

    def name(self, name: str) -> str:
        """A name of this world's own."""
        return f"{self.prefix}-{name}"

    def make(self, token: str, name: str, **inputs: Any) -> dict[str, Any]:
        """Create a resource that others refer to; its outputs. It goes when the test ends."""
        made = self.plugin.create(token, inputs, self.name(name))
        self.made.append(made)
        return made.state

    def bucket(self) -> str:
        return self.make("aws:s3/bucket:Bucket", "bucket", forceDestroy=True)["bucket"]

    def key(self) -> dict[str, Any]:
        return self.make("aws:kms/key:Key", "key", deletionWindowInDays=7)

    def role(self) -> dict[str, Any]:
        return self.make("aws:iam/role:Role", "role", assumeRolePolicy=TRUST)

    def queue(self) -> dict[str, Any]:
        return self.make("aws:sqs/queue:Queue", "queue")

    def topic(self) -> dict[str, Any]:
        return self.make("aws:sns/topic:Topic", "topic")

    def repository(self) -> str:
        return self.make("aws:ecr/repository:Repository", "repository", forceDelete=True)["name"]

    def rule(self) -> str:
        return self.make("aws:cloudwatch/eventRule:EventRule", "rule", scheduleExpression="rate(1 day)")["name"]

    def function(self) -> dict[str, Any]:
        role, settings = self.role()["arn"], {"runtime": "python3.11", "handler": "index.handler", "code": CODE}
        return self.make("aws:lambda/function:Function", "function", role=role, **settings)

    def called(self) -> dict[str, Any]:
        """A function that buckets may call."""
        function = self.function()
        may = {"action": "lambda:InvokeFunction", "principal": "s3.amazonaws.com"}
        self.make("aws:lambda/permission:Permission", "called", function=function["name"], **may)
        return function

    def reader(self) -> dict[str, Any]:
        """A function that may take the messages of queues."""
        function = self.function()
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
        role = function["role"].rpartition("/")[2]
        self.make("aws:iam/rolePolicy:RolePolicy", "read", role=role, policy=json.dumps(allowed))
        return function

    def model(self, name: str = "model", **behaviour: Any) -> str:
        """A model that serves, or behaves as told."""
        return self.make("aws:sagemaker/model:Model", name, **self.model_inputs(name, **behaviour))["name"]

    def model_inputs(self, name: str, **behaviour: Any) -> dict[str, Any]:
        bucket = self.bucket()
        self.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=archive_of(behaviour))
        image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/model-serving:process"
        container = {"image": image, "modelDataUrl": f"s3://{bucket}/model.tar.gz", "environment": {"A": name}}
        return {"executionRoleArn": self.role()["arn"], "primaryContainer": container}

    def config(self, name: str = "config", **behaviour: Any) -> str:
        """An endpoint configuration of one variant."""
        model = self.model(f"{name}-model", **behaviour)
        return self.make("aws:sagemaker/endpointConfiguration:EndpointConfiguration", name, **one_variant(model))[
            "name"
        ]

    def end(self) -> None:
        """Remove what was made, last first."""
        for made in reversed(self.made):
            self.plugin.delete(made)


def one_variant(model: str, **more: Any) -> dict[str, Any]:
    variant = {"variantName": "v1", "modelName": model, "instanceType": "ml.m5.large", "initialInstanceCount": 1}
    return {"productionVariants": [{**variant, **more}]}


def archive_of(behaviour: dict[str, Any]) -> bytes:
    """A model archive for served_model.py; one with `until` does not start before that file is there."""
    start = {"start": "held"} if "until" in behaviour else {}
    buffer, content = io.BytesIO(), json.dumps({"name": "model", **start, **behaviour}).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("behaviour.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def world(hosting: Any, plugin: Plugin) -> Iterator[World]:
    """Prerequisites on demand, removed afterwards."""
    world = World(hosting, plugin)
    yield world
    world.end()


@pytest.fixture(scope="session")
def live_through(plugin: Plugin) -> Callable[..., None]:
    """Leads a resource through its life: `live_through(world, token=..., inputs=..., ...)`, as life.Case has it."""
    spec = importlib.util.spec_from_file_location("awsplugin_life", Path(__file__).with_name("life.py"))
    assert spec is not None and spec.loader is not None
    life = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = life
    spec.loader.exec_module(life)
    return lambda world, **case: life.live(world, plugin, life.Case(**case))
