from __future__ import annotations

import uuid
from dataclasses import replace

import pulumi
import pytest

from infra.config.kubernetes_settings import KubernetesSettings
from infra.kubernetes import source
from infra.kubernetes.controller import manifests as controller_manifests
from infra.kubernetes.endpoint import own_rights
from infra.kubernetes.promotion import manifests
from platforms.kubernetes.answers import Forbidden
from platforms.kubernetes.api import Api
from platforms.kubernetes.crds import definitions
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import NAMESPACE, PACKAGE, ROLLOUT, ROUTE, SECRET, ResourceKind
from platforms.kubernetes.names import CONTROLLER, MANAGER, Names
from platforms.kubernetes.rules import rules
from platforms.kubernetes.serving_config import Backend, ServingConfig
from platforms.kubernetes.versions import ModelPackages
from rollout.core.state import RolloutState
from tests.infra.on_cluster import release
from tests.platforms.kubernetes.apiserver import ApiServer, Impersonating, define
from tests.platforms.kubernetes.world import ENDPOINT, World

pytestmark = [pytest.mark.needs("apiserver"), pytest.mark.slow]
ROLE = ResourceKind("rbac.authorization.k8s.io/v1", "Role", "roles")
BINDING = ResourceKind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")


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
    KubernetesJournal(api, ENDPOINT).write(replace(RolloutState(ENDPOINT), champion=champion))
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


def test_the_controller_writes_the_rules_of_its_endpoints_routes_and_of_no_other(server: ApiServer) -> None:
    owner = declared(server).api
    owner.create(ROUTE, {"metadata": {"name": "theirs"}, "spec": {}})
    model, _, stack = ENDPOINT.rpartition("-")
    each = controller_manifests(owner.namespace, KubernetesSettings(), None, "image")
    for role, binding in ((each["role"], each["binding"]), own_rights(Names(model, stack, owner.namespace))):
        owner.apply(ROLE, role, "tests")
        owner.apply(BINDING, binding, "tests")
    account = f"system:serviceaccount:{owner.namespace}:{CONTROLLER}"
    api = as_one_of(server, owner, "system:authenticated", account)
    assert {one["metadata"]["name"] for one in api.list(ROUTE)} == {ENDPOINT, "theirs"}
    spec = {"rules": rules(ServingConfig("solo-a", Backend("v-a", "solo-a")), {"v-a": 100})}
    assert api.apply(ROUTE, {"metadata": {"name": ENDPOINT}, "spec": spec}, MANAGER)["spec"]["rules"]
    with pytest.raises(Forbidden):
        api.apply(ROUTE, {"metadata": {"name": "theirs"}, "spec": spec}, MANAGER)
