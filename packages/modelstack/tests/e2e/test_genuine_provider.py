"""The life of a stack's AWS resources by the genuine provider's code: `make test-genuine`.

The local plugin brings stack `local` up. The genuine provider reads what is there, deletes all of it, creates it again,
changes it, and deletes it. So each plan here is the one that a real account would see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.bed import Bed
from localcloud.genuine.attributes import convert, differences, kind_of, snake
from localcloud.genuine.build import command
from localcloud.genuine.core import Answer, Core, configured
from localcloud.setup import Places
from modelstack.cli.local.stack import Stack
from modelstack.monitoring.custom import FOLDER, files
from modelstack.pipeline.project import SOURCES
from modelstack.program.aws.lambda_zip import seal
from tests.e2e.conftest import succeeded
from tests.process import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.needs("genuine")]

_OWN = "deprecated: the resource of its own has it, which the local plugin serves"
_DECLARED = "the local plugin returns a value as it is declared, where that means the same"
DIFFERENCES: Mapping[str, str] = {
    "aws_dynamodb_table.global_secondary_index[0].hash_key": "deprecated: its key_schema says the same",
    "aws_dynamodb_table.global_secondary_index[0].range_key": "deprecated: its key_schema says the same",
    "aws_dynamodb_table.server_side_encryption[0].kms_key_arn": "an alias: locally AWS has no key of its own",
    "aws_iam_role.inline_policy": _OWN,
    "aws_kms_key.rotation_period_in_days": "the local plugin does not ask for it where a key does not rotate",
    "aws_lambda_event_source_mapping.function_name": _DECLARED,
    "aws_s3_bucket.grant": _OWN,
    "aws_s3_bucket.lifecycle_rule": _OWN,
    "aws_s3_bucket.policy": _OWN,
    "aws_s3_bucket.server_side_encryption_configuration": _OWN,
    "aws_s3_bucket.versioning": _OWN,
    "aws_s3_bucket_versioning.versioning_configuration[0].mfa_delete": _DECLARED,
    "aws_sagemaker_model.primary_container[0].mode": _DECLARED,
}
"""Attribute -> why the local plugin has another value than the genuine provider."""

NEWER = {"warmUpConfiguration"}
"""Properties of the SDK that came after the revision of the provider that the Go module proxy serves."""

CHANGES: Mapping[str, Mapping[str, Any]] = {
    "aws_cloudwatch_event_rule": {"description": "changed"},
    "aws_cloudwatch_log_group": {"retention_in_days": 60},
    "aws_cloudwatch_metric_alarm": {"threshold": 7},
    "aws_iam_role": {"description": "changed"},
    "aws_kms_key": {"description": "changed"},
    "aws_lambda_event_source_mapping": {"batch_size": 50},
    "aws_lambda_function": {"memory_size": 512},
    "aws_scheduler_schedule": {"description": "changed"},
    "aws_sqs_queue": {"visibility_timeout_seconds": 60},
}
"""Changes that the genuine provider makes in place."""

DEFAULTS = {
    "aws_s3_bucket_notification",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
}
"""What each bucket has: to delete it restores S3's default, or suspends the versions."""

_SHORTEST_ID = 8
"""A shorter output is no id that AWS gave."""

Resource = dict[str, Any]


class Life:
    """The resources of a stack, in the genuine provider's hands.

    Attributes:
        resources: The custom resources of the stack's state, each after those that it depends on.
        states: The state of each AWS resource by URN, as the genuine provider has read it last.
    """

    def __init__(self, core: Core, resources: list[Resource], code: Path) -> None:
        self._core = core
        self.resources = resources
        self.states: dict[str, Any] = {}
        self._code = str(code)
        self._blocks = {kind: core("schema", kind).value for kind in {kind_of(r["type"]) for r in self.aws()}}
        self._renewed: dict[str, str] = {}

    def aws(self) -> list[Resource]:
        """The resources that the genuine provider serves."""
        return [resource for resource in self.resources if resource["type"].startswith("aws:")]

    def of(self, kind: str) -> list[Resource]:
        """The resources of a type."""
        return [resource for resource in self.aws() if kind_of(resource["type"]) == kind]

    def call(self, do: str, resource: Resource, value: Any = None) -> Answer:
        """Send a request about a resource, and note its state."""
        answer = self._core(do, kind_of(resource["type"]), resource["urn"], value)
        if do in ("read", "apply"):
            self.states[resource["urn"]] = answer.value
        return answer

    def adopt(self, resource: Resource) -> Answer:
        """Read a resource that the local plugin made."""
        self.call("adopt", resource, {"id": resource["id"], **self.converted(resource, "outputs")})
        return self.call("read", resource)

    def converted(self, resource: Resource, member: str) -> dict[str, Any]:
        """The `inputs` or `outputs` of a resource as attributes, with the ids of what was created again."""
        kind, text = kind_of(resource["type"]), json.dumps(resource[member])
        for old, new in list(self._renewed.items()):
            text = text.replace(old, new)
        properties = {
            name: value for name, value in json.loads(text).items() if name not in NEWER and not name.startswith("__")
        }
        if "code" in properties:
            properties["code"] = self._code
        return convert(kind, self._blocks[kind], properties)

    def plan(self, resource: Resource, *, ignoring: bool = True, **changes: Any) -> Answer:
        """Plan what the program declares, with changes; attributes whose changes it ignores are as they are."""
        config, state = self.converted(resource, "inputs"), self.states.get(resource["urn"])
        if ignoring and state:
            ignored = [snake(path) for path in resource.get("ignoreChanges", ()) if path != "*"]
            config |= {name: _set(state[name]) for name in ignored}
        return self.call("plan", resource, config | changes)

    def create(self, resource: Resource) -> None:
        """Create a resource."""
        if resource in self.aws():
            self.plan(resource)
            state = self.call("apply", resource).value
            declared = self.converted(resource, "inputs")
            for name, old in self.converted(resource, "outputs").items():
                new = state[name]
                both = isinstance(old, str) and isinstance(new, str)
                if both and name not in declared and len(old) > _SHORTEST_ID and old != new:
                    self._renewed[old] = new

    def delete(self, resource: Resource) -> None:
        """Delete a resource, and see that it is gone."""
        if resource in self.aws():
            state = self.states[resource["urn"]]
            self.call("plan", resource)
            assert self.call("apply", resource).value is None
            self.call("adopt", resource, state)
            left = self.call("read", resource).value
            assert left is None or kind_of(resource["type"]) in DEFAULTS, f"{resource['urn']} is still there"

    def changed(self) -> dict[str, list[str]]:
        """What plans change that were not requested, by resource."""

        def changes(resource: Resource) -> list[str]:
            assert self.call("read", resource).value is not None, f"{resource['urn']} is gone"
            return sorted(self.plan(resource).changes)

        return {urn: names for urn, names in self.each(changes).items() if names}

    def each(self, work: Callable[[Resource], Any]) -> dict[str, Any]:
        """The results of work on each AWS resource, in any order."""
        with ThreadPoolExecutor(16) as pool:
            return dict(zip((r["urn"] for r in self.aws()), pool.map(work, self.aws()), strict=True))

    def in_order(self, work: Callable[[Resource], Any], *, backwards: bool = False) -> None:
        """Work on each resource after those that it depends on, or after those that depend on it."""
        after = {resource["urn"]: set(_dependencies(resource)) for resource in self.resources}
        if backwards:
            after = {urn: {other for other in after if urn in after[other]} for urn in after}
        done: dict[str, Future[Any]] = {}

        def run(resource: Resource) -> None:
            for urn in after[resource["urn"]] & done.keys():
                done[urn].result()
            work(resource)

        with ThreadPoolExecutor(len(self.resources)) as pool:
            for resource in reversed(self.resources) if backwards else self.resources:
                done[resource["urn"]] = pool.submit(run, resource)
        for future in done.values():
            future.result()


def _set(value: Any) -> Any:
    """A state's value as a config has it: without what the provider sets to zero where nothing is declared."""
    if isinstance(value, list):
        return [_set(item) for item in value]
    if isinstance(value, dict):
        return {name: _set(item) for name, item in value.items() if item or isinstance(item, list)}
    return value


def _dependencies(resource: Resource) -> Iterator[str]:
    yield from resource.get("dependencies") or ()
    for urns in (resource.get("propertyDependencies") or {}).values():
        yield from urns


@pytest.fixture(scope="module")
def life(story: Bed, first: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    succeeded(first.up())
    exported = json.loads(succeeded(first.pulumi("stack", "export", "--show-secrets", "--stack", "local")).output)
    every = exported["deployment"]["resources"]
    provider = next(resource["inputs"] for resource in every if resource["type"] == "pulumi:providers:aws")
    folder = tmp_path_factory.mktemp("genuine")
    config = {
        "region": provider["region"],
        "default_tags": [json.loads(provider["defaultTags"])],
        "s3_use_path_style": True,
        "skip_credentials_validation": True,
        "skip_requesting_account_id": True,  # else it reads a bucket's tags from a host that is named by the account
        "max_retries": 2,
    }
    resources = [resource for resource in every if resource.get("custom") and ":providers:" not in resource["type"]]
    with configured(command(Places.of(ROOT)), story.environment, config, folder / "log") as core:
        yield Life(core, resources, seal(SOURCES, folder, files(ROOT / FOLDER)).path)


def test_the_local_plugin_reads_what_the_genuine_provider_reads(life: Life) -> None:
    def compare(resource: Resource) -> list[str]:
        ours, genuine = life.converted(resource, "outputs"), life.adopt(resource).value
        genuine.pop("id")
        kind = kind_of(resource["type"])
        return [f"{kind}.{difference}" for difference in differences(ours, genuine)]

    found = {one for each in life.each(compare).values() for one in each}
    assert {one for one in found if one.partition(":")[0] not in DIFFERENCES} == set()
    assert DIFFERENCES.keys() - {one.partition(":")[0] for one in found} == set(), "no longer true"


def test_nothing_that_the_local_plugin_made_would_be_replaced(life: Life) -> None:
    replaced = life.each(lambda resource: life.plan(resource).replaces)
    assert {urn: paths for urn, paths in replaced.items() if paths} == {}


def test_all_of_it_is_deleted_and_created_again(life: Life, story: Bed) -> None:
    s3 = story.target().client("s3")
    bucket = story.target().output("artifact_bucket")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="packages/")["Contents"]
    packages = {item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed}

    sagemaker, group = story.target().client("sagemaker"), story.target().output("package_group")

    def delete(resource: Resource) -> None:
        life.delete(resource)
        if resource["type"].endswith(":Package"):
            for item in sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]:
                sagemaker.delete_model_package(ModelPackageName=item["ModelPackageArn"])

    def create(resource: Resource) -> None:
        life.create(resource)
        if resource["type"].endswith(":Package"):
            for key, content in packages.items():
                s3.put_object(Bucket=bucket, Key=key, Body=content)

    life.in_order(delete, backwards=True)
    life.in_order(create)
    assert life.changed() == {}


def test_a_change_changes_nothing_else(life: Life) -> None:
    def change(resource: Resource) -> list[str]:
        wanted = dict(CHANGES.get(kind_of(resource["type"]), {}))
        config = life.converted(resource, "inputs")
        if "tags_all" in life.states[resource["urn"]]:
            wanted["tags"] = {**config.get("tags", {}), "changed": "yes"}
        planned = life.plan(resource, **wanted)
        found = [*planned.replaces, *(planned.changes - wanted.keys() - {"tags_all"})]
        life.call("apply", resource)
        life.call("read", resource)
        again = life.plan(resource, **wanted).changes
        life.plan(resource)
        life.call("apply", resource)
        return [*found, *again]

    assert {urn: found for urn, found in life.each(change).items() if found} == {}
    assert life.changed() == {}


def test_a_guarded_update_by_the_controller_changes_no_plan(life: Life, story: Bed) -> None:
    sagemaker, endpoint = story.target().client("sagemaker"), story.target().endpoint
    alarm = next(
        r["inputs"]["name"] for r in life.of("aws_cloudwatch_metric_alarm") if r["inputs"]["name"].endswith("5xx")
    )
    live = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=live)
    members = ("ProductionVariants", "DataCaptureConfig")
    sagemaker.create_endpoint_config(EndpointConfigName=f"{live}-next", **{name: config[name] for name in members})
    canary = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 1}
    sagemaker.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=f"{live}-next",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
        },
    )
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
    )

    assert life.changed() == {}
    resource = life.of("aws_sagemaker_endpoint")[0]
    assert life.states[resource["urn"]]["endpoint_config_name"] == f"{live}-next"
    unguarded = life.plan(resource, ignoring=False)
    assert unguarded.changes == {"deployment_config", "endpoint_config_name"}
    assert any("deployment_config" in path for path in unguarded.replaces)


def test_all_of_it_is_deleted(life: Life) -> None:
    life.in_order(life.delete, backwards=True)
