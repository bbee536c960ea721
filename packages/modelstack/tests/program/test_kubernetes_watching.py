"""What the program declares to watch over an endpoint, and who is told: rules, alerts and the dashboard."""

from __future__ import annotations

import json

import pytest
import yaml

from modelstack.platforms.kubernetes.alertmanager import Receiver, alertmanager_config, config
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes.rules import groups
from modelstack.program.kubernetes.workloads import shape_of
from modelstack.program.plan.releases import plan_serving, wanted_release
from modelstack.rollout.core.state import RolloutState
from tests.program.on_cluster import IMAGE, NAMES, OLD, STACK, idle, manifests, run_on_cluster
from tests.program.recorded import World, stack_config


@pytest.fixture(scope="module")
def first() -> World:
    return run_on_cluster()


@pytest.mark.parametrize("minutes", [5, None])
def test_an_alarm_waits_for_a_probe_where_one_runs_and_nowhere_else(minutes: int | None) -> None:
    settings = Settings.load(stack_config(STACK, slo={"probe_minutes": minutes}), STACK)
    assert settings.measuring().probe_minutes == (minutes or 0)
    wanted = wanted_release(NAMES, "1" * 64, IMAGE, (settings.serving.pods, shape_of(settings.serving)))
    plan = plan_serving(RolloutState(NAMES.prefix), wanted, NAMES.pair_of, resized=None, waits=True)
    text = json.dumps(groups(NAMES, plan, settings, settings.slo.objective(STACK)))
    assert f"{wanted.variant}-5xx" in text
    assert ("modelstack_probe" in text) is (minutes is not None)


def test_grafana_finds_the_dashboard_by_its_usual_label_and_a_release_does_not_change_it(first: World) -> None:
    made = manifests(first)["ConfigMap", f"{NAMES.prefix}-dashboard"]
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = made["data"].values()
    assert json.loads(text)["title"] == f"models/{NAMES.prefix}"
    later = run_on_cluster(state=idle(OLD))
    assert manifests(later)["ConfigMap", f"{NAMES.prefix}-dashboard"]["data"] == made["data"]


def test_no_file_of_a_stack_has_the_name_of_one_from_another_namespace() -> None:
    """A sidecar writes the files of all ConfigMaps into one folder, each over what has its name there."""
    files = [
        {key: text for (_, name), item in manifests(run_on_cluster(kubernetes={"namespace": namespace})).items()
         if name.endswith(("-dashboard", "-rules", "-alerts")) for key, text in item["data"].items()}
        for namespace in ("models", "others")
    ]  # fmt: skip
    assert [len(each) for each in files] == [2, 2], "the file of rules and that of alerts go to two programs"
    assert not files[0].keys() & files[1].keys()
    uids = {json.loads(text)["uid"] for each in files for name, text in each.items() if name.endswith(".json")}
    assert len(uids) == 2, "of two dashboards of one uid Grafana keeps the last one"


PEOPLE = {"page": {"email": ["oncall@example.org"]}, "labels": {"alerts": "yes"}}


def test_alerts_wake_the_controller_and_tell_people_by_a_file_of_alertmanager() -> None:
    made = manifests(run_on_cluster(kubernetes={"alerts": PEOPLE}))["ConfigMap", f"{NAMES.prefix}-alerts"]
    assert made["metadata"]["labels"]["alerts"] == "yes"
    (text,) = made["data"].values()
    assert yaml.safe_load(text) == config(NAMES.prefix, NAMES.namespace, page=Receiver(("oncall@example.org",)))


def test_where_there_is_an_operator_it_is_told_by_its_own_object() -> None:
    alerts = {"ticket": {"webhook_secret": "tickets"}}
    rules = {"kind": "prometheus_rule", "labels": {"release": "prometheus"}}
    found = manifests(run_on_cluster(kubernetes={"alerts": alerts, "rules": rules}))
    assert ("ConfigMap", f"{NAMES.prefix}-alerts") not in found
    made = found["AlertmanagerConfig", f"{NAMES.prefix}-alerts"]
    assert made["spec"] == alertmanager_config(NAMES.prefix, NAMES.namespace, ticket=Receiver(secret="tickets"))
    declared = found["PrometheusRule", f"{NAMES.prefix}-rules"]
    spec = declared["spec"]
    assert declared["metadata"]["labels"]["release"] == "prometheus", "by which a Prometheus selects its rules"
    (text,) = manifests(run_on_cluster())["ConfigMap", f"{NAMES.prefix}-rules"]["data"].values()
    assert spec == yaml.safe_load(text), "the same rules as in a file"
    alerts = [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]
    named = {rule["labels"].get("namespace") for rule in alerts}
    assert named == {"models"}, "an operator gives an AlertmanagerConfig the alerts of its own namespace"
