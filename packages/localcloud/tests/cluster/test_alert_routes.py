"""Routes that lie in the cluster become those of its Alertmanager."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from localcloud.cluster.alert_routes import merged
from localcloud.cluster.configs import alertmanager

SERVICES = [{"metadata": {"namespace": "models", "name": "controller"}, "spec": {"clusterIP": "10.96.7.7"}}]


def routes(name: str, url: str) -> dict[str, Any]:
    whole = {
        "route": {"receiver": "nobody", "routes": [{"receiver": name}]},
        "receivers": [{"name": "nobody"}, {"name": name, "webhook_configs": [{"url": url}]}],
    }
    return {"metadata": {"namespace": "a", "name": name}, "data": {"x.yml": yaml.safe_dump(whole), "notes": "n"}}


def test_without_a_map_nobody_is_told() -> None:
    assert yaml.safe_load(merged([], [])) == {
        **yaml.safe_load(alertmanager()),
        "route": {"receiver": "nobody", "routes": []},
    }


def test_the_routes_and_receivers_of_all_maps_stand_side_by_side() -> None:
    maps = [routes("b", "http://10.0.0.1/"), routes("a", "http://10.0.0.2/")]
    found = yaml.safe_load(merged(maps, []))
    assert found["route"]["routes"] == [{"receiver": "a"}, {"receiver": "b"}]
    assert [one["name"] for one in found["receivers"]] == ["nobody", "a", "b"]
    assert merged(maps, []) == merged(maps[::-1], [])


def test_the_name_of_a_service_becomes_its_address_and_any_other_stays() -> None:
    known = (
        "http://controller.models:8081/wake",
        "http://controller.models.svc/",
        "http://controller.models.svc.cluster.local:1/x",
    )
    for url in known:
        assert "http://10.96.7.7" in merged([routes("a", url)], SERVICES)
    for url in ("http://other.models:8081/", "https://hooks.example.org/x"):
        assert url in merged([routes("a", url)], SERVICES)


def test_the_file_of_an_authorization_becomes_the_content_of_the_secret_that_it_names() -> None:
    name = "credentials_file: secrets/models/e-token/token"
    maps = [
        {
            "metadata": {"namespace": "a", "name": "a"},
            "data": {"x.yml": f"{{route: {{}}, receivers: [{{name: a, {name}}}]}}"},
        }
    ]
    for namespace, found in (("models", "credentials: secret\n"), ("others", name)):
        secret = {"metadata": {"namespace": namespace, "name": "e-token"}, "data": {"token": "c2VjcmV0"}}
        assert found in merged(maps, [], [secret])


@pytest.mark.parametrize("text", ["{", "[]", "receivers: []", "route: {routes: 3}\nreceivers: []", "a"])
def test_a_map_that_is_no_config_stops_no_other(text: str) -> None:
    wrong = {"metadata": {"namespace": "a", "name": "wrong"}, "data": {"x.yml": text}}
    found = yaml.safe_load(merged([wrong, routes("b", "http://10.0.0.1/")], []))
    assert {"receiver": "b"} in found["route"]["routes"]
