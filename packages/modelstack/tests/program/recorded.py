"""Runs the program without an engine and records what it declares."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import pickle
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pulumi
import pulumi.runtime
import yaml
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import mocks, settings, stack
from pulumi.runtime.proto import resource_pb2, source_pb2

from infra import __main__ as program
from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.platforms.aws.journal import role_for
from modelstack.platforms.aws.names import Names
from modelstack.program import declaration, live_state
from modelstack.program.aws import first_endpoint, stack_now
from modelstack.program.aws import source as aws_source
from modelstack.program.aws import stack as on_aws
from modelstack.program.aws.hosting import shape_of
from modelstack.program.config import checkout
from modelstack.program.config.checkout import check_model
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.plan.releases import wanted_release
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason

ROOT = Path(__file__).resolve().parents[4]
ACCOUNT = "000000000000"
RECIPE = "a" * 64
DIGEST = f"sha256:{'d' * 64}"
SIGNED_BY = "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"
SOURCE = {
    "region": "us-east-1",
    "endpoint_name": "flight-delay-dev",
    "journal_table": "flight-delay-dev-rollouts",
    "signing_key": SIGNED_BY,
}
"""What a stack that others take from says of itself, besides what serves there."""
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
    type: str
    name: str
    inputs: dict[str, Any]
    ignores: list[str]
    depends: list[str]
    imports: str
    retained: bool
    protected: bool
    parent: str = ""


@dataclass(frozen=True)
class Answers:
    """The providers' answers in a run."""

    refused: str = ""
    outcome: str = "promoted"
    why: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, float] = field(default_factory=lambda: {"auc": 0.65})
    born: str = "2025-11-24T00:00:00Z"

    def of(self, kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] = {}
        if kind.endswith(":Package"):
            state = {"signed_by": SIGNED_BY, **({"refused": self.refused} if self.refused else FACTS)}
        if kind.endswith(":Rollout"):
            wanted = inputs["desired_release"].get("package_digest") or ""
            champion = wanted if self.outcome == "promoted" else inputs["live_state"]["champion"]
            state = {"champion": champion, "challenger": "", "release": {}, "outcome": self.outcome, "why": self.why}
            state["metrics"] = self.registered
        if kind == "aws:kms/key:Key":
            return {"arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{name}"}
        if kind.startswith("aws:sagemaker/mlflow"):
            which = "mlflow-app/app-AB12" if kind.endswith("App") else f"mlflow-tracking-server/{name}"
            return {"arn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:{which}"}
        if kind == "aws:iam/role:Role":
            state["createDate"] = self.born
        return {"arn": f"arn:aws:{kind.split(':')[1]}:us-east-1:{ACCOUNT}:{name}", **state}


@dataclass
class World:
    """What a run of the program declared and reported. Tests share it, so it is read-only."""

    answers: Answers
    resources: list[Declared] = field(default_factory=list)
    exported: dict[str, Any] = field(default_factory=dict)
    said: list[tuple[int, str]] = field(default_factory=list)
    stopped: pulumi.RunError | None = None

    def all(self, type_: str) -> list[Declared]:
        """Every resource whose type ends so."""
        return [item for item in self.resources if item.type.endswith(type_)]

    def one(self, type_: str, name: str | None = None) -> Declared:
        """The resource of a type, and of a name when there are several."""
        found = [item for item in self.all(type_) if name is None or item.name == name]
        assert len(found) == 1, f"{type_} {name}: {[item.name for item in found]}"
        return found[0]

    def alarm(self, name: str) -> dict[str, Any]:
        return self.one(":MetricAlarm", name).inputs

    def function(self, name: str) -> dict[str, Any]:
        return self.one("lambda/function:Function", name).inputs

    @property
    def rollout(self) -> dict[str, Any]:
        return self.one("modelstack:Rollout").inputs

    @property
    def package(self) -> dict[str, Any]:
        return self.one(":Package").inputs

    def config(self, name: str) -> dict[str, Any]:
        (found,) = (item.inputs for item in self.all(":EndpointConfiguration") if item.inputs["name"] == name)
        return found

    def models(self) -> dict[str, dict[str, Any]]:
        """The container of each model, by the model's name."""
        return {item.inputs["name"]: item.inputs["primaryContainer"] for item in self.all(":Model")}

    def allows(self, role: str) -> list[dict[str, Any]]:
        """The statements of a role's policy."""
        return statements(self.one(":RolePolicy", role).inputs["policy"])

    def may(self, function: str) -> list[dict[str, Any]]:
        """The statements of the role that a function runs with."""
        return self.allows(self.function(function)["role"].rpartition(":")[2])

    @property
    def told(self) -> str:
        return "\n".join(text for _, text in self.said)

    @property
    def warned(self) -> str:
        return "\n".join(text for level, text in self.said if level >= logging.WARNING)


class Recorder(mocks.MockMonitor):
    """Answers in the engine's place. Inputs come back as outputs, in the form that they were sent in."""

    def __init__(self, world: World, asked: Callable[[World], None]) -> None:
        super().__init__(cast(Any, None))
        self.world, self.asked = world, asked

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = json_format.MessageToDict(request.object)
        self.world.resources.append(
            Declared(
                request.type,
                request.name,
                inputs,
                list(request.ignoreChanges),
                sorted(request.dependencies),
                request.importId,
                request.retainOnDelete,
                request.protect,
                request.parent,
            )
        )
        state = struct_pb2.Struct()
        state.update(self.world.answers.of(request.type, request.name, inputs))
        for key, value in request.object.fields.items():
            if key not in state.fields or key == "arn":
                state.fields[key].CopyFrom(value)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=f"{request.name}-id", object=state)

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> Any:
        assert request.type == "pulumi:pulumi:StackReference"
        state = struct_pb2.Struct()
        state.update({"name": request.name, "outputs": self.world.answers.source})
        urn = self.make_urn(request.parent, request.type, request.name)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=state)

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> Any:
        assert request.tok == "aws:index/getCallerIdentity:getCallerIdentity"
        self.asked(self.world)
        answer = struct_pb2.Struct()
        answer.update({"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "id": ACCOUNT, "userId": ACCOUNT})
        return resource_pb2.ResourceInvokeResponse(**cast(Any, {"return": answer}))

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:
        if "pulumi:pulumi:Stack::" in request.urn:
            self.world.exported = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


class Said(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        self.world.said.append((record.levelno, record.getMessage()))


def stack_config(name: str, **sections: Any) -> dict[str, str]:
    """The committed config of a stack with some fields changed, as Pulumi passes it to a program."""
    config = dict(_stack_file(name))
    for section, fields in sections.items():
        before = config.get(f"modelstack:{section}", {})
        config[f"modelstack:{section}"] = {**before, **fields} if isinstance(fields, dict) else fields
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def release(names: Names, recipe: str = RECIPE, image: str | None = None, **changes: str) -> Release:
    """The release of a recipe on a stack, with the program's names."""
    image = image or names.process_image
    serving = ServingSettings()
    wanted = wanted_release(names, recipe, image, (serving.instances, shape_of(serving)))
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
    return Release.from_dict({**known, **changes})


LOCAL = Names("flight-delay", "local", ACCOUNT, "us-east-1")
OLD = release(LOCAL, "1" * 64, package_digest=f"sha256:{'1' * 64}")


def idle(champion: Release, **changes: Any) -> RolloutState:
    """The journal of a local stack whose champion serves alone."""
    return replace(RolloutState("flight-delay-local", champion=champion, phase=Phase.IDLE), **changes)


def verdict(of: Release) -> Verdict:
    reason = Reason("alarm", "5xx", "alarm 5xx: 52% of 40 requests failed")
    return Verdict("rolled_back", reason, "000002", of.id, of.recipe, of.package_digest, 0.0)


def statements(policy: str) -> list[dict[str, Any]]:
    return json.loads(policy)["Statement"]


_RUNS: dict[str, World] = {}
# Read or made once for all runs: they depend on the checkout alone.
_stack_file = functools.cache(lambda name: yaml.safe_load((ROOT / f"stacks/Pulumi.{name}.yaml").read_text())["config"])
_check_model = functools.cache(lambda root: check_model())
_sealed = functools.cache(on_aws.seal)


def run_program(name: str = "local", **given: Any) -> World:
    """What the program of a stack declares and reports, with the arguments of `record_run`. Equal programs run once."""
    world = _run(name, **given)
    if world.stopped is not None:
        raise world.stopped
    return world


def stopped(name: str = "local", **given: Any) -> tuple[World, str]:
    """What a program that stops had declared by then, and its message."""
    world = _run(name, **given)
    assert world.stopped is not None, "the program came to its end"
    return world, str(world.stopped)


def _run(name: str, **given: Any) -> World:
    key = repr((checkout.project_root(), name, sorted(given.items())))
    if key not in _RUNS:
        _RUNS[key] = record_run(name, **given)
    return _RUNS[key]


def pickler_as_it_was() -> Any:
    """Undo Pulumi's patches of pickle's class: each serialized provider wraps its methods once more, for good.

    After some hundred programs pickling would end in a RecursionError (`serialize_provider` of `pulumi.dynamic`).
    """
    kept = {name: getattr(pickle._Pickler, name) for name in ("_batch_setitems", "save_dict")}
    return mock.patch.multiple(pickle._Pickler, **kept)


def record_run(
    name: str = "local",
    *,
    answers: Answers | None = None,
    state: RolloutState | None = None,
    recipe: str | pulumi.RunError = RECIPE,
    record: RetrainingRecord | None = None,
    live: Live | None = None,
    asked: Callable[[World], None] = lambda world: None,
    own: str = ACCOUNT,
    stands: str | None = None,
    agreed: int = 5,
    main: Callable[[], Awaitable[None]] = program.main,
    **sections: dict[str, Any],
) -> World:
    """Run the program of a stack to its end.

    Args:
        name: The stack; its committed config is the base.
        answers: The providers' answers.
        state: The journal; None is an empty one.
        recipe: The recipe digest of the checkout, or why it has none.
        record: The retrainings; None is nothing.
        live: What the endpoint serves; None without one.
        asked: Called when AWS is asked for the caller.
        own: The account of the program's own calls.
        stands: An endpoint that exists before the first release.
        agreed: The number of approvals of the desired release.
        main: The program.
        sections: Changes of the config, by section.
    """

    def recipe_of(_: Any) -> str:
        if isinstance(recipe, pulumi.RunError):
            raise recipe
        return recipe

    def champion(_: str, outputs: Any, account: str) -> Any:
        if "release" not in world.answers.source:
            return None
        role = role_for(outputs.get("promotion_role"), account)
        return {**world.answers.source["release"], "region": outputs["region"], "role": role}

    world = World(answers or Answers())
    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"} if name.startswith("local") else {}
    kept = {key: value for key, value in os.environ.items() if key != "AWS_ENDPOINT_URL"}
    with (
        mock.patch.dict(os.environ, {**kept, **endpoint}, clear=True),
        mock.patch.object(
            stack_now,
            "recorded",
            lambda endpoint, region: (state or RolloutState(endpoint), live, record or RetrainingRecord()),
        ),
        mock.patch.object(stack_now, "own_account", lambda region: own),
        mock.patch.object(aws_source, "champion", champion),
        mock.patch.object(stack_now.StackNow, "agreed", lambda now, settings, wanted: agreed),
        mock.patch.object(first_endpoint, "standing_endpoint", lambda names: stands),
        mock.patch.object(live_state, "recipe_of", recipe_of),
        mock.patch.object(declaration, "check_model", lambda: _check_model(checkout.project_root())),
        mock.patch.object(on_aws, "seal", _sealed),
    ):
        run_to_its_end(world, name, sections, asked, main)
    return world


def run_to_its_end(
    world: World,
    name: str,
    sections: dict[str, Any],
    asked: Callable[[World], None] = lambda world: None,
    main: Callable[[], Awaitable[None]] = program.main,
) -> None:
    """Run the program of a stack in a world, without an engine."""
    logger = logging.Logger("engine", logging.INFO)
    logger.addHandler(Said(world))
    pulumi.runtime.set_all_config(stack_config(name, **sections))
    settings.set_root_resource(cast(Any, object()))  # or set_mocks makes a stack of its own
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(
        cast(Any, None),
        project="modelstack",
        stack=name,
        preview=False,
        monitor=Recorder(world, asked),
        organization="organization",
        logger=logger,
    )
    settings.set_root_resource(cast(Any, None))
    with (
        warnings.catch_warnings(),
        pickler_as_it_was(),
        # Where in the program each resource is declared is for the engine's messages, and a quarter of the time.
        mock.patch("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace),
    ):
        warnings.filterwarnings("ignore", ".*has been deprecated in favor of.*")  # the SDK's own modules, as they load
        try:
            loop.run_until_complete(stack.run_in_stack(main))
        except pulumi.RunError as error:
            world.stopped = error
        finally:
            loop.close()
