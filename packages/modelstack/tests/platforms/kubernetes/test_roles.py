from __future__ import annotations

import uuid
from dataclasses import replace

import pulumi
import pytest

from modelstack.platforms.kubernetes.answers import Forbidden
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.autoscaled import manifest as autoscaler
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.journal import JournalCopy, copied_journal
from modelstack.platforms.kubernetes.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    PACKAGE,
    ROLLOUT,
    ROUTE,
    SECRET,
    ResourceKind,
)
from modelstack.platforms.kubernetes.names import CONTROLLER, MANAGER, Names, journal_copy
from modelstack.platforms.kubernetes.program.lease import Lease
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.signing import audit_secret_name, key_pair, secret_name
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.program.config.kubernetes_settings import KubernetesSettings
from modelstack.program.kubernetes import source
from modelstack.program.kubernetes.controller import manifests as controller_manifests
from modelstack.program.kubernetes.promotion import manifests
from modelstack.program.kubernetes.rights import own_rights, workload_rights
from modelstack.rollout.core.state import RolloutState
from tests.platforms.kubernetes.apiserver import ApiServer, Impersonating, define
from tests.platforms.kubernetes.world import ENDPOINT, World
from tests.program.on_cluster import release

pytestmark = [pytest.mark.needs("apiserver"), pytest.mark.slow]
ROLE = ResourceKind("rbac.authorization.k8s.io/v1", "Role", "roles")
BINDING = ResourceKind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
POLICY = ResourceKind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")


def declared(server: ApiServer) -> World:
    api = Api(server.access(), f"models-{uuid.uuid4().hex[:8]}")
    define(Api(server.access(), "default"), definitions())
    api.create(NAMESPACE, {"metadata": {"name": api.namespace}})
    world = World(api, lambda *_: None)
    world.declare()
    return world


@pytest.fixture(scope="module")
def owner(server: ApiServer) -> Api:
    """A namespace with an endpoint that serves a release, and lets the group `deployers-prod` take it."""
    world = declared(server)
    api = world.api
    world.package("p-1")
    champion = release(version=f"{api.namespace}/p-1")
    copied_journal(api, ENDPOINT).write(replace(RolloutState(ENDPOINT), champion=champion))
    for kind, manifest in zip((ROLE, BINDING), manifests(ENDPOINT, ["deployers-prod"]), strict=True):
        api.apply(kind, manifest, "tests")
    return api


def as_one_of(server: ApiServer, owner: Api, group: str, who: str = "ben") -> Api:
    access = server.access()
    assert access.auth is not None
    return Api(replace(access, auth=Impersonating(access.auth, who, group)), owner.namespace)


def taken(owner: Api, asked: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, object] | None:
    monkeypatch.setattr(Api, "of", lambda context, namespace: asked)
    outputs = {"endpoint_name": ENDPOINT, "context": "prod", "namespace": owner.namespace, "bucket": None}
    return source.champion("staging", outputs, None)


def test_a_group_that_is_named_reads_what_serves_and_who_made_it(
    server: ApiServer, owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = as_one_of(server, owner, "deployers-prod")
    found = taken(owner, asked, monkeypatch)
    assert found is not None
    assert found["package_digest"] == release().package_digest
    version = ModelPackages(asked).get(f"{owner.namespace}/p-1")
    assert version and version.made_by == ()


@pytest.mark.parametrize("kind", [SECRET, ROUTE, PACKAGE, ROLLOUT])
def test_it_may_list_nothing_and_write_nothing(server: ApiServer, owner: Api, kind: ResourceKind) -> None:
    asked = as_one_of(server, owner, "deployers-prod")
    with pytest.raises(Forbidden):
        asked.list(kind)
    with pytest.raises(Forbidden):
        asked.replace_status(ROLLOUT, owner.get(ROLLOUT, ENDPOINT))


def test_another_group_is_told_which_field_names_it(
    server: ApiServer, owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = r"promotion\.from = .staging.*promotion\.to of staging name a group that you are in\?"
    with pytest.raises(pulumi.RunError, match=told):
        taken(owner, as_one_of(server, owner, "others"), monkeypatch)


@pytest.fixture
def stack(server: ApiServer) -> tuple[Api, Api]:
    """The owner of a namespace with the rights of one stack and one release, and its controller."""
    owner = declared(server).api
    model, _, stage = ENDPOINT.rpartition("-")
    each = controller_manifests(owner.namespace, KubernetesSettings(), None, "image")
    rights = [own_rights(Names(model, stage, owner.namespace)), workload_rights(owner.namespace, "ours")]
    for role, binding in ((each["role"], each["binding"]), *rights):
        owner.apply(ROLE, role, "tests")
        owner.apply(BINDING, binding, "tests")
    account = f"system:serviceaccount:{owner.namespace}:{CONTROLLER}"
    return owner, as_one_of(server, owner, "system:authenticated", account)


def test_the_controller_writes_the_rules_of_its_endpoints_routes_and_of_no_other(stack: tuple[Api, Api]) -> None:
    owner, api = stack
    owner.create(ROUTE, {"metadata": {"name": "theirs"}, "spec": {}})
    assert {one["metadata"]["name"] for one in api.list(ROUTE)} == {ENDPOINT, "theirs"}
    spec = {"rules": rules(ServingConfig("solo-a", Backend("v-a", "solo-a")), {"v-a": 100})}
    assert api.apply(ROUTE, {"metadata": {"name": ENDPOINT}, "spec": spec}, MANAGER)["spec"]["rules"]
    with pytest.raises(Forbidden):
        api.apply(ROUTE, {"metadata": {"name": "theirs"}, "spec": spec}, MANAGER)


def test_the_controller_writes_the_copy_of_its_endpoints_journals_and_of_no_other(stack: tuple[Api, Api]) -> None:
    owner, api = stack
    owner.apply(CONFIG_MAP, {"metadata": {"name": journal_copy(ENDPOINT)}}, "pulumi")
    JournalCopy(api, ENDPOINT).put(RolloutState(ENDPOINT, revision=1))
    owner.apply(CONFIG_MAP, {"metadata": {"name": journal_copy(ENDPOINT), "labels": {"a": "b"}}}, "pulumi")
    assert JournalCopy(owner, ENDPOINT).read().revision == 1, "an update leaves what the controllers wrote"
    owner.delete(CONFIG_MAP, journal_copy(ENDPOINT))
    JournalCopy(api, ENDPOINT).put(RolloutState(ENDPOINT, revision=2))
    assert JournalCopy(owner, ENDPOINT).read().revision == 2, "a deleted one is made again"
    with pytest.raises(Forbidden):
        JournalCopy(api, "theirs").put(RolloutState("theirs", revision=1))


def test_the_controller_signs_audit_records_and_cannot_read_the_key_of_packages(stack: tuple[Api, Api]) -> None:
    owner, api = stack
    packages, audit = (key_pair(owner, named(ENDPOINT)) for named in (secret_name, audit_secret_name))
    assert key_pair(api, audit_secret_name(ENDPOINT)).public_key == audit.public_key != packages.public_key
    for attack in (
        lambda: api.get(SECRET, secret_name(ENDPOINT)),
        lambda: api.list(SECRET),
        lambda: key_pair(api, "another-audit"),
    ):
        with pytest.raises(Forbidden):
            attack()


def test_the_controller_scales_releases_of_stacks_and_no_other_pods(stack: tuple[Api, Api]) -> None:
    owner, api = stack
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    for name in ("ours", "theirs"):
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        owner.create(DEPLOYMENT, {"metadata": {"name": name}, "spec": spec})
        owner.create(AUTOSCALER, autoscaler(name, 1, 2))
    api.scale(api.get(DEPLOYMENT, "ours"), 0, MANAGER)
    raised = {"spec": {"minReplicas": 2}}
    api.apply(AUTOSCALER, {"metadata": {"name": "ours"}, **raised}, MANAGER, force=True)
    for attack in (
        lambda: api.scale(api.get(DEPLOYMENT, "theirs"), 0, MANAGER),
        lambda: api.apply(AUTOSCALER, {"metadata": {"name": "theirs"}, **raised}, MANAGER, force=True),
        lambda: api.delete(DEPLOYMENT, "ours"),
    ):
        with pytest.raises(Forbidden):
            attack()


def test_the_controller_takes_its_own_lease_and_no_other(stack: tuple[Api, Api]) -> None:
    owner, api = stack
    assert Lease(api, "one").keep()
    owner.create(LEASE, {"metadata": {"name": "theirs"}, "spec": {}})
    with pytest.raises(Forbidden):
        api.apply(LEASE, {"metadata": {"name": "theirs"}, "spec": {"holderIdentity": "one"}}, MANAGER, force=True)


def test_the_api_server_takes_the_policy_of_the_controllers_clients_and_its_pods(server: ApiServer) -> None:
    api = declared(server).api
    settings = KubernetesSettings(ingress_from=["monitoring", "10.0.0.0/28", "fd00::/64"])
    each = controller_manifests(api.namespace, settings, None, "image")
    (rule,) = api.apply(POLICY, each["clients"], "tests")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8081}]
    assert len(rule["from"]) == 4
    (scratch,) = api.apply(DEPLOYMENT, each["deployment"], "tests")["spec"]["template"]["spec"]["volumes"]
    assert scratch["emptyDir"] == {"sizeLimit": "64Mi"}
