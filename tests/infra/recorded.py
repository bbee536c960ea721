"""Runs the program without an engine, and keeps what it declared."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pulumi
import pulumi.runtime
import yaml
from google.protobuf import json_format
from pulumi.runtime import mocks, settings, stack
from pulumi.runtime.proto import resource_pb2, source_pb2

import infra.__main__ as program
from infra.aws import place
from infra.aws.serving import wanted_release
from infra.config.settings import ServingSettings
from platforms.aws.names import Names
from retraining.record import Record
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState, Verdict
from rollout.reason import Reason

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "000000000000"
RECIPE = "a" * 64
DIGEST = f"sha256:{'d' * 64}"
FACTS = {
    "package_digest": DIGEST,
    "archive_uri": f"s3://bucket/packages/{'d' * 64}/model.tar.gz",
    "manifest_sha256": "e" * 64,
    "model_package_arn": "arn:aws:sagemaker:us-east-1:000000000000:model-package/group/1",
    "metrics": {"auc": 0.7},
    "refused": "",
}
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/flight-delay-dev-serving@sha256:{'f' * 64}"


@dataclass(frozen=True)
class Declared:
    """One resource as the program registered it."""

    type: str
    name: str
    inputs: dict[str, Any]
    ignores: list[str]
    depends: list[str]


@dataclass
class World(mocks.Mocks):
    """Stands in for the providers.

    Attributes:
        refused: Why the package is refused.
        outcome: How a rollout ends.
        source: The outputs of the stack that is promoted from.
        registered: The metrics of the champion, by the registry.
        resources: What was declared, in order.
    """

    refused: str = ""
    outcome: str = "promoted"
    why: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, float] = field(default_factory=lambda: {"auc": 0.65})
    resources: list[Declared] = field(default_factory=list)
    exported: dict[str, Any] = field(default_factory=dict)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        state = dict(args.inputs)
        if args.typ == "pulumi:pulumi:StackReference":
            return args.name, {**state, "outputs": self.source}
        if args.typ.endswith(":Package"):
            state |= FACTS if not self.refused else {"refused": self.refused}
        if args.typ.endswith(":Rollout"):
            wanted = args.inputs["target"].get("package_digest", "")
            champion = wanted if self.outcome == "promoted" else args.inputs["seen"]["champion"]
            state |= {"champion": champion, "challenger": "", "release": {}, "outcome": self.outcome, "why": self.why}
            state["metrics"] = self.registered
        state.setdefault("arn", f"arn:aws:{args.typ.split(':')[1]}:us-east-1:{ACCOUNT}:{args.name}")
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        assert args.token == "aws:index/getCallerIdentity:getCallerIdentity"
        return {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "id": ACCOUNT, "userId": ACCOUNT}

    def all(self, type_: str) -> list[Declared]:
        """Every resource whose type ends so."""
        return [item for item in self.resources if item.type.endswith(type_)]

    def one(self, type_: str, name: str | None = None) -> Declared:
        """The resource of a type, and of a name when there are several."""
        found = [item for item in self.all(type_) if name is None or item.name == name]
        assert len(found) == 1, f"{type_} {name}: {[item.name for item in found]}"
        return found[0]


class Recorder(mocks.MockMonitor):
    """Keeps the options of each registration too, which `Mocks` does not see."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.world = world

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = json_format.MessageToDict(request.object)
            self.world.resources.append(
                Declared(request.type, request.name, inputs, list(request.ignoreChanges), sorted(request.dependencies))
            )
        return answer

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:
        if "pulumi:pulumi:Stack::" in request.urn:
            self.world.exported = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


def stack_config(name: str, **sections: dict[str, Any]) -> dict[str, str]:
    """The committed config of a stack with some fields changed, as Pulumi gives it to a program."""
    config = yaml.safe_load((ROOT / f"stacks/Pulumi.{name}.yaml").read_text())["config"]
    for section, fields in sections.items():
        config[f"modelstack:{section}"] = {**config.get(f"modelstack:{section}", {}), **fields}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def release(names: Names, recipe: str = RECIPE, image: str | None = None, **changes: str) -> Release:
    """The release of a recipe on a stack, as the program names it."""
    image = image or names.process_image
    wanted = wanted_release(names, recipe, image, ServingSettings())
    facts = {key: value for key, value in FACTS.items() if isinstance(value, str) and value}
    known = {
        **facts,
        "id": wanted.id,
        "recipe": recipe,
        "image_uri": image,
        "model_name": wanted.model_name,
        "variant": wanted.variant,
        "config_name": wanted.config_name,
        "instances": wanted.instances,
    }
    return Release(**{**known, **changes})


LOCAL = Names("flight-delay", "local", ACCOUNT, "us-east-1")
OLD = release(LOCAL, "1" * 64, package_digest=f"sha256:{'1' * 64}")


def idle(champion: Release, **changes: Any) -> RolloutState:
    """The journal of a local stack whose champion serves alone."""
    return replace(RolloutState("flight-delay-local", champion=champion, phase=Phase.IDLE), **changes)


def verdict(of: Release) -> Verdict:
    """An alarm rolled a release back."""
    reason = Reason("alarm", "5xx", "alarm 5xx: 52% of 40 requests failed")
    return Verdict("rolled_back", reason, "000002", of.id, of.recipe, of.package_digest, 0.0)


def statements(policy: str) -> list[dict[str, Any]]:
    """The statements of a policy."""
    return json.loads(policy)["Statement"]


def config_of(world: World, name: str) -> Declared:
    """The endpoint config of a name."""
    return next(item for item in world.all(":EndpointConfiguration") if item.inputs["name"] == name)


def run_program(
    name: str = "local",
    world: World | None = None,
    state: RolloutState | None = None,
    recipe: str = RECIPE,
    record: Record | None = None,
    **sections: dict[str, Any],
) -> World:
    """Run the program of a stack to its end.

    Args:
        name: The stack; its committed config is the base.
        world: Stands in for the providers.
        state: The journal; None is an empty one.
        recipe: The recipe digest of the checkout.
        record: What was retrained; None is nothing.
        sections: Changes of the config, by section.
    """
    world = world or World()
    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"} if name.startswith("local") else {}
    kept = {key: value for key, value in os.environ.items() if key != "AWS_ENDPOINT_URL"}
    pulumi.runtime.set_all_config(stack_config(name, **sections))
    settings.set_root_resource(cast(Any, object()))  # or set_mocks makes a stack of its own
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(
        world,
        project="modelstack",
        stack=name,
        preview=False,
        monitor=Recorder(world),
        organization="organization",
        logger=logging.getLogger("engine"),
    )
    settings.set_root_resource(cast(Any, None))
    with (
        mock.patch.dict(os.environ, {**kept, **endpoint}, clear=True),
        mock.patch.object(
            place, "recorded", lambda endpoint, region: (state or RolloutState(endpoint), record or Record())
        ),
        mock.patch.object(place, "recipe_of", lambda parameters: recipe),
        # Where in the program each resource is declared is for the engine's messages, and a quarter of the time.
        mock.patch("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace),
    ):
        try:
            loop.run_until_complete(stack.run_in_stack(program.main))
        finally:
            loop.close()
    return world
