from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from infra.config.kubernetes_settings import KubernetesSettings
from infra.kubernetes.controller import manifests
from infra.kubernetes.endpoint import own_rights
from platforms.kubernetes.answers import Forbidden
from platforms.kubernetes.api import Api
from platforms.kubernetes.crds import definitions
from platforms.kubernetes.kinds import NAMESPACE, ROUTE
from platforms.kubernetes.names import CONTROLLER, MANAGER, Names
from platforms.kubernetes.rules import rules
from platforms.kubernetes.serving_config import Backend, ServingConfig
from tests.platforms.kubernetes.apiserver import ApiServer, Impersonating, define
from tests.platforms.kubernetes.test_promotion_role import BINDING, ROLE
from tests.platforms.kubernetes.world import ENDPOINT, World

pytestmark = [pytest.mark.needs("apiserver"), pytest.mark.slow]
SPEC = {"rules": rules(ServingConfig("solo-a", Backend("v-a", "solo-a")), {"v-a": 100})}


def test_the_controller_writes_the_rules_of_its_endpoints_routes_and_of_no_other(server: ApiServer) -> None:
    owner = Api(server.access(), f"models-{uuid.uuid4().hex[:8]}")
    define(Api(server.access(), "default"), definitions())
    owner.create(NAMESPACE, {"metadata": {"name": owner.namespace}})
    World(owner, lambda *_: None).declare()
    owner.create(ROUTE, {"metadata": {"name": "theirs"}, "spec": {}})
    model, _, stack = ENDPOINT.rpartition("-")
    each = manifests(owner.namespace, KubernetesSettings(), None, "image")
    for role, binding in ((each["role"], each["binding"]), own_rights(Names(model, stack, owner.namespace))):
        owner.apply(ROLE, role, "tests")
        owner.apply(BINDING, binding, "tests")
    access = server.access()
    assert access.auth is not None
    account = Impersonating(
        access.auth, f"system:serviceaccount:{owner.namespace}:{CONTROLLER}", "system:authenticated"
    )
    api = Api(replace(access, auth=account), owner.namespace)
    assert {one["metadata"]["name"] for one in api.list(ROUTE)} == {ENDPOINT, "theirs"}
    assert api.apply(ROUTE, {"metadata": {"name": ENDPOINT}, "spec": SPEC}, MANAGER)["spec"]["rules"]
    with pytest.raises(Forbidden):
        api.apply(ROUTE, {"metadata": {"name": "theirs"}, "spec": SPEC}, MANAGER)
