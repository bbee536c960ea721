"""A stack's AWS resources by the genuine provider's code: `make test-genuine`.

The local plugin brings stack `local` up. The genuine provider reads what is there, and plans what the program declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.bed import Bed
from cli.local.stack import Stack
from cli.target import ROOT
from infra.aws.lambda_zip import seal
from localcloud.genuine.attributes import convert, differences, kind_of, snake
from localcloud.genuine.build import command
from localcloud.genuine.core import Answer, Core, configured
from localcloud.setup import Places
from tests.e2e.conftest import succeeded

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

    def aws(self) -> list[Resource]:
        """The resources that the genuine provider serves."""
        return [resource for resource in self.resources if resource["type"].startswith("aws:")]

    def call(self, do: str, resource: Resource, value: Any = None) -> Answer:
        """Send a request about a resource, and note its state."""
        answer = self._core(do, kind_of(resource["type"]), resource["urn"], value)
        if do == "read":
            self.states[resource["urn"]] = answer.value
        return answer

    def adopt(self, resource: Resource) -> Answer:
        """Read a resource that the local plugin made."""
        self.call("adopt", resource, {"id": resource["id"], **self.converted(resource, "outputs")})
        return self.call("read", resource)

    def converted(self, resource: Resource, member: str) -> dict[str, Any]:
        """The `inputs` or `outputs` of a resource as attributes."""
        kind, given = kind_of(resource["type"]), resource[member]
        properties = {name: value for name, value in given.items() if name not in NEWER and not name.startswith("__")}
        if "code" in properties:
            properties["code"] = self._code
        return convert(kind, self._blocks[kind], properties)

    def plan(self, resource: Resource) -> Answer:
        """Plan what the program declares; attributes whose changes it ignores are as they are."""
        ignored = [snake(path) for path in resource.get("ignoreChanges", ()) if path != "*"]
        kept = {name: self.states[resource["urn"]][name] for name in ignored}
        return self.call("plan", resource, self.converted(resource, "inputs") | kept)

    def each(self, work: Callable[[Resource], Any]) -> dict[str, Any]:
        """The results of work on each AWS resource, in any order."""
        with ThreadPoolExecutor(16) as pool:
            return dict(zip((r["urn"] for r in self.aws()), pool.map(work, self.aws()), strict=True))


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
        yield Life(core, resources, seal(ROOT, folder).path)


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
