"""Taking `bucket` out of the config leaves nothing that serves without its package."""

from __future__ import annotations

from typing import Any, cast
from unittest import mock

import pulumi
import pytest

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, NAMESPACE, ROLLOUT, SECRET
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.program.config.kubernetes_settings import BucketSettings
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes import checks, cluster_now
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.program.on_cluster import NAMES, NEW, STACK, idle, manifests, release, run_on_cluster
from tests.program.recorded import World, stack_config

BUCKET = BucketSettings(name="packages", endpoint="http://minio:9000", region="eu-west-1", secret="bucket-keys")
SERVES = release("1" * 64, archive_uri="s3://packages/packages/1/model.tar.gz")
BEFORE = release("2" * 64)


def cluster(state: RolloutState, *, deployments: bool = True, secret: bool = True, bucket: Any = BUCKET) -> Api:
    api = FakeApi()
    api.server = "https://127.0.0.1:6443"
    api.create(NAMESPACE, {"metadata": {"name": "models"}})
    rollout = api.create(ROLLOUT, {"metadata": {"name": NAMES.prefix}, "spec": {}})
    api.replace_status(ROLLOUT, {**rollout, "status": {"state": state.to_json()}})
    declared = manifests(run_on_cluster(state=state, bucket=bucket, rollout={"wait": False}))
    for one in state.releases() if deployments else ():
        made = declared["Deployment", one.config_name]
        # As a policy of the cluster may have it.
        made["spec"]["template"]["spec"]["initContainers"].insert(0, {"name": "added", "image": "theirs"})
        api.create(DEPLOYMENT, made)
    if secret:
        api.create(SECRET, {"metadata": {"name": "bucket-keys"}})
    return cast(Api, api)


def read(api: Api, **kubernetes: Any) -> BucketSettings | None:
    settings = Settings.load(stack_config(STACK, kubernetes=kubernetes), STACK)
    with (
        mock.patch.object(Api, "of", lambda *_: api),
        mock.patch.object(checks, "lacking", lambda *_, **__: []),
        mock.patch.object(checks, "unwatched", lambda *_: ""),
    ):
        return cluster_now._read(settings, NAMES).bucket


@pytest.mark.slow
def test_the_bucket_of_what_serves_is_known_by_its_deployment_once_the_config_names_none() -> None:
    assert read(cluster(idle(SERVES))) == BUCKET
    assert read(cluster(idle(BEFORE, previous=SERVES))) == BUCKET, "a rollback needs it"
    plain = BucketSettings(name="packages")
    assert read(cluster(idle(SERVES), bucket=plain)) == plain


@pytest.mark.slow
def test_any_release_that_lies_there_and_has_its_deployment_tells_the_bucket() -> None:
    also = release("3" * 64, archive_uri="s3://packages/packages/3/model.tar.gz")
    for gone in (SERVES, also):
        api = cluster(idle(SERVES, previous=also))
        api.delete(DEPLOYMENT, gone.config_name)
        assert read(api) == BUCKET


@pytest.mark.slow
def test_the_bucket_of_the_config_counts_and_where_no_package_lies_in_one_there_is_none() -> None:
    other = {"name": "others", "endpoint": "http://minio:9000"}
    assert read(cluster(idle(SERVES)), bucket=other) == BucketSettings.model_validate(other)
    assert read(cluster(idle(BEFORE))) is None
    assert read(cluster(RolloutState(NAMES.prefix))) is None


@pytest.mark.parametrize(
    ("lacks", "why"),
    [
        ({"deployments": False}, f"no Deployment tells how it is read: models/{SERVES.config_name}"),
        ({"bucket": None}, f"no Deployment tells how it is read: models/{SERVES.config_name}"),
        ({"secret": False}, "Secret models/bucket-keys, with whose keys it is read, does not exist"),
    ],
)
def test_a_bucket_that_nobody_could_read_any_more_is_told_before_anything_changes(lacks: Any, why: str) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        read(cluster(idle(SERVES), **lacks))
    said = str(refused.value)
    assert "modelstack:kubernetes.bucket is null, but it is still needed" in said
    assert f"{SERVES.id} (s3://packages/packages/1/model.tar.gz)" in said
    assert why in said
    assert said.endswith("Set the field again, as it was")


@pytest.fixture(scope="module")
def taken_out() -> World:
    """A trial in a stack whose config had a bucket when its champion was released."""
    return run_on_cluster(state=idle(SERVES), bucket=BUCKET, rollout={"wait": False})


def fetching(world: World, of: Release) -> dict[str, Any]:
    (container,) = manifests(world)["Deployment", of.config_name]["spec"]["template"]["spec"]["initContainers"]
    return container


def test_pods_of_what_serves_and_the_controller_go_on_reading_the_bucket(taken_out: World) -> None:
    pod = manifests(taken_out)["Deployment", CONTROLLER]["spec"]["template"]["spec"]
    for container in (fetching(taken_out, SERVES), *pod["containers"]):
        variables = {item["name"]: item.get("value") for item in container["env"]}
        assert (variables["AWS_ENDPOINT_URL_S3"], variables["AWS_REGION"]) == ("http://minio:9000", "eu-west-1")
        assert container["envFrom"] == [{"secretRef": {"name": "bucket-keys"}}]
    policy = manifests(taken_out)["NetworkPolicy", f"{NAMES.prefix}-models"]
    assert {"ports": [{"port": 9000}]} in policy["spec"]["egress"], "a pod that starts again fetches its package again"
    assert "bucket packages is still read" in str(taken_out.said)
    assert "nor Secret bucket-keys," in str(taken_out.said)


def test_a_new_package_goes_to_the_registry_and_its_pods_need_no_keys_of_the_bucket(taken_out: World) -> None:
    assert taken_out.package.get("bucket") is None
    container = fetching(taken_out, NEW)
    assert "envFrom" not in container, "a Secret that is deleted later would let no pod of it start"
    assert not {item["name"] for item in container["env"]} & {"AWS_ENDPOINT_URL_S3", "MODELSTACK_ARCHIVE_SHA256"}


def test_a_champion_that_moves_to_other_pods_fetches_its_package_where_it_lies() -> None:
    """It is declared from the journal where the release that the config asks for was rejected."""
    why = Reason("alarm", "errors", "52% of 40 requests failed")
    rejected = {NEW.id: Verdict("rolled_back", why, "000002", NEW.id, NEW.recipe, NEW.package_digest, 0.0)}
    state = idle(SERVES, previous=BEFORE, rejected=rejected)
    world = run_on_cluster(state=state, bucket=BUCKET, serving={"cpu": "250m"}, rollout={"wait": False})
    moved = Release.from_dict(world.rollout["desired_release"])
    assert (moved.archive_uri, moved.config_name != SERVES.config_name) == (SERVES.archive_uri, True)
    assert fetching(world, moved)["envFrom"] == [{"secretRef": {"name": "bucket-keys"}}]
    assert "envFrom" not in fetching(world, BEFORE), "its package is in the registry"


def test_a_bucket_that_nothing_needs_is_told_of_no_more() -> None:
    assert "is still read" not in str(run_on_cluster(state=idle(BEFORE)).said)
    named = run_on_cluster(state=idle(SERVES), kubernetes={"bucket": {"name": "packages"}})
    assert "is still read" not in str(named.said), "the config names it"


def test_a_bucket_that_cannot_be_asked_stops_the_preview_before_anything_is_trained_for_it() -> None:
    named = {"bucket": {"name": "packages", "endpoint": "http://minio:9000"}}
    stopped = run_on_cluster(bucket_is_not_there="is gone", kubernetes=named).stopped
    said = "packages at http://minio:9000 is gone"
    assert str(stopped) == f"modelstack:kubernetes.bucket: {said}. Nothing was changed"
    assert run_on_cluster(bucket_is_not_there="is gone").stopped is None, "it has none"
    kept = run_on_cluster(bucket_is_not_there="is gone", bucket=BUCKET, state=idle(SERVES))
    assert kept.stopped is None, "no update writes to it, and only pods need reach it"
