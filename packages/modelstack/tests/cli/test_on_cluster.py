"""The commands on a stack on Kubernetes: the same pages and sentences as on AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from modelstack.cli import next_release
from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import EndpointState
from modelstack.cli.platform.kubernetes.platform import Kubernetes
from modelstack.cli.platform.package_store import newest
from modelstack.cli.target import Target
from modelstack.cli.view import render
from modelstack.cli.view.snapshot import seen_at, take
from modelstack.monitoring.predictions import EVER, Prediction
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, PACKAGE, ROLLOUT, ROUTE
from modelstack.platforms.kubernetes.names import CONFIG, CONTENT, ENDPOINT
from modelstack.platforms.kubernetes.route import ASKED, PendingConfig
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.state import RolloutState
from tests.cli.clustered import Cluster
from tests.cli.conftest import plan
from tests.cli.played import printed
from tests.cli.there import (
    CONTEXT,
    NAME,
    NAMESPACE,
    PAIR,
    RULE,
    SHADOW,
    on_trial,
    release,
    serve,
    target,
    weights_there,
)

pytestmark = pytest.mark.slow


def on_aws(weights: dict[str, float], copies: dict[str, float]) -> EndpointState:
    live = Live(
        "ready",
        "config",
        {name: Variant(weight, weight, 1) for name, weight in weights.items()},
        shadows={name: Variant(weight, weight, 1) for name, weight in copies.items()},
    )
    return EndpointState("InService", live)


@pytest.mark.parametrize(
    ("config", "weights", "copies"),
    [
        (PAIR, {PAIR.backends[0].variant: 90, PAIR.backends[1].variant: 10}, {}),
        (PAIR, {PAIR.backends[0].variant: 0, PAIR.backends[1].variant: 100}, {}),
        (SHADOW, {PAIR.backends[0].variant: 100}, {PAIR.backends[1].variant: 20}),
    ],
    ids=["pair", "all moved", "shadow"],
)
def test_a_snapshot_is_shown_as_on_aws(
    cluster: Cluster, config: ServingConfig, weights: dict[str, int], copies: dict[str, float]
) -> None:
    serve(cluster, config, weights)
    state = RolloutState(NAME, champion=release("a"), challenger=release("b"))
    here = take(target(cluster), state=state, packages=(), alarms=())
    there = seen_at(0, Target("prod", NAME, "eu-west-1", {}), on_aws({**weights}, copies), state, None, alarms=())
    assert printed(render.snapshot(here)) == printed(render.snapshot(there))
    assert (here.namespace, here.region) == (NAMESPACE, "")
    assert {row.image for row in here.variants} == {"r/serving@sha256:2"}
    assert {row.name: row.copies for row in here.variants if row.copies} == copies


def test_a_stack_whose_first_release_does_not_serve_yet_is_not_said_to_be_in_service(cluster: Cluster) -> None:
    assert platform_of(target(cluster)).endpoint().status == "InService"
    (route,) = [one for one in cluster.objects.values() if one["kind"] == ROUTE.kind]
    del route["spec"]["rules"], route["metadata"]["annotations"]
    assert platform_of(target(cluster)).endpoint().status == "Creating"


def test_a_release_that_is_waited_for_updates_what_answers_and_the_first_one_creates_it(
    cluster: Cluster, typed: Callable[..., Result]
) -> None:
    waited = ServingConfig("next", Backend("v-c", "solo-c"))
    cluster.put(CONFIG_MAP, {"metadata": {"name": "next"}, "data": {CONTENT: waited.to_json()}})
    cluster.put(DEPLOYMENT, {"metadata": {"name": "solo-c"}, "spec": {"selector": {"matchLabels": {"w": "solo-c"}}}})
    route = cluster.objects[ROUTE.path(NAMESPACE, NAME)]
    route["metadata"]["annotations"][ASKED] = PendingConfig("next", time.time(), time.time()).to_json()
    later = typed("status", "--json")
    assert (later.exit_code, json.loads(later.stdout)["status"]) == (0, "Updating")
    del route["spec"]["rules"], route["metadata"]["annotations"][CONFIG]
    first = typed("status", "--json")
    assert (first.exit_code, json.loads(first.stdout)["status"]) == (1, "Creating"), "nothing answers yet"


def test_packages_have_their_approval_their_metrics_and_the_releases_id(cluster: Cluster) -> None:
    (found,) = newest(platform_of(target(cluster)).versions(), 5)
    assert (found.view.version, found.view.approval, found.view.metrics, found.why) == (
        1,
        "Approved",
        {"auc": "0.7"},
        "first",
    )
    assert found.name == f"{NAMESPACE}/{NAME}-a"
    assert found.lineage == {"package_digest": "sha256:9", "recipe": "a" * 64}


def test_the_newest_packages_come_first(cluster: Cluster) -> None:
    for number in (3, 2):
        made = f"2026-03-0{number}T12:00:00Z"
        named = {"name": f"p{number}", "labels": {ENDPOINT: NAME}, "creationTimestamp": made}
        cluster.put(PACKAGE, {"metadata": named, "spec": {}})
    found = newest(platform_of(target(cluster)).versions(), 2)
    assert [(item.view.version, item.name) for item in found] == [(3, f"{NAMESPACE}/p3"), (2, f"{NAMESPACE}/p2")]


def test_alarms_are_told_with_value_threshold_and_meaning(cluster: Cluster) -> None:
    quiet = {
        **RULE,
        "name": f"{NAME}-probe-silent",
        "state": "inactive",
        "labels": {**RULE["labels"], "severity": "ticket"},
        "alerts": [],
    }
    broken = {**quiet, "name": f"{NAME}-slo-page", "health": "err", "lastError": "many-to-many"}
    again = {**RULE, "name": f"{NAME}-probe-silent"}
    cluster.rules = [
        {"name": NAME, "rules": [RULE, quiet, again]},
        {"name": f"{NAME}-slo", "rules": [broken]},
        {"name": "another", "rules": [RULE]},
        {"name": NAME, "rules": [{**RULE, "name": "theirs", "labels": {**RULE["labels"], "namespace": "others"}}]},
    ]
    found = platform_of(target(cluster)).alarms_in_full()
    assert [(item.alarm.name, item.alarm.state, item.alarm.severity) for item in found] == [
        (f"{NAME}-v-a-5xx", "ALARM", "page"),
        (f"{NAME}-probe-silent", "ALARM", "page"),  # of two rules of one name, the one that fires
        (f"{NAME}-slo-page", "INSUFFICIENT_DATA", "ticket"),
    ]
    assert found[0].alarm.brief == "48% of requests fail, 5% may"
    assert (found[0].text, found[0].missing, found[0].alarm.runbook) == (
        "It fails.", "None did.", "runbook.md#5xx"
    )  # fmt: skip
    assert found[0].alarm.since == "2026-03-01T12:00:00+00:00"
    assert [(at.isoformat(), what) for at, what in found[0].changes] == [(found[0].alarm.since, "began to fire")]


def test_a_firing_alarm_on_drift_names_the_features_that_moved(cluster: Cluster) -> None:
    alert = {**RULE["alerts"][0], "value": "2.2e+01", "annotations": {"summary": "It drifts.", "moved": "RELP, wind"}}
    drifts = {**RULE, "name": f"{NAME}-v-a-drift", "alerts": [alert], "annotations": {"threshold": "1"}}
    cluster.rules = [{"name": NAME, "rules": [drifts]}]
    (found,) = platform_of(target(cluster)).alarms()
    assert found.brief == "evidence 22 that requests differ from training, 1 is enough; moved: RELP, wind"


def test_an_alarm_on_the_controllers_work_says_which_work_fails(cluster: Cluster) -> None:
    alert = {**RULE["alerts"][0], "value": "2", "annotations": {"summary": "rollouts do not continue: a part fails"}}
    fails = {**RULE, "name": f"{NAME}-functions-failing", "alerts": [alert], "annotations": {"threshold": "0"}}
    cluster.rules = [{"name": NAME, "rules": [fails]}]
    (found,) = platform_of(target(cluster)).alarms()
    assert found.brief == "rollouts do not continue: a part fails"


def test_an_alarm_that_is_quiet_tells_nothing_that_is_not_so(cluster: Cluster) -> None:
    told = {"summary": "It answers {{ $value | humanizePercentage }} of its requests with a 5XX"}
    cluster.rules = [{"name": NAME, "rules": [{**RULE, "state": "inactive", "alerts": [], "annotations": told}]}]
    (found,) = platform_of(target(cluster)).alarms_in_full()
    assert (found.alarm.brief, found.changes) == ("", ())
    assert found.text == "It answers … of its requests with a 5XX"


def test_a_prometheus_that_is_down_fires_and_hides_nothing_else(cluster: Cluster) -> None:
    cluster.blind = True
    platform = platform_of(target(cluster))
    (alarm,) = platform.alarms()
    assert (alarm.name, alarm.state) == (f"{NAME}-prometheus", "ALARM")
    assert "starting up" in alarm.reason
    assert platform.kept_aside(["LabelsUnparsable"], 3600) == {}
    assert platform.delay() == 0.0


def test_rules_that_are_not_loaded_fire_once_something_serves(cluster: Cluster) -> None:
    platform = platform_of(target(cluster))
    assert platform.alarms() == ()
    on_trial(cluster, plan())
    (alarm,) = platform_of(target(cluster)).alarms()
    assert (alarm.name, alarm.state, alarm.severity) == (f"{NAME}-prometheus", "ALARM", "page")
    assert f"{NAMESPACE}/{NAME}-rules" in alarm.reason
    assert alarm.reason.endswith("pulumi up --stack prod --refresh")


def test_labels_are_brought_to_the_controller(cluster: Cluster, typed: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text('{"inference_id": "order-17", "label": true}\n')
    done = typed("labels", str(file))
    (name,) = cluster.labels
    assert cluster.labels[name] == file.read_text()
    assert done.stdout == f"http://modelstack-controller.{NAMESPACE}:8081/labels/{NAME}/{name}\n"
    assert done.stderr == "1 labels sent\n"
    cluster.records = None
    done = typed("labels", str(file))
    assert done.exit_code == 1
    assert "this controller has no database" in done.stderr


def test_quality_is_told_as_on_aws_and_hides_nothing_where_the_controller_does_not_tell(cluster: Cluster) -> None:
    values = {"RealisedPairs": 40, "RealisedAccuracy": 0.5}
    told = {"at": 1.0, "since": None, "values": values, "by_segment": {}, "reach": None}
    cluster.standings = {"v-a": told, "v-b": {**told, "values": {}}}
    (found,) = platform_of(target(cluster)).quality(["v-a", "v-b", "v-c"])
    assert (found.variant, found.labels, found.values["RealisedAccuracy"]) == ("v-a", 40, 0.5)
    assert found.at == "1970-01-01T00:00:01+00:00"
    cluster.records = None
    assert platform_of(target(cluster)).quality(["v-a"]) == ()


def test_a_prediction_is_looked_for_by_the_controller_part_by_part(cluster: Cluster) -> None:
    answer = {"variant": "v-a", "event": "e-1", "inference": "order-17", "at": 100.0}
    part = {"exact": [], "begun": [], "files": 7, "oldest": None, "before": None}
    cluster.predictions = [{**part, "oldest": 5.0, "before": 1.0}, {**part, "exact": [answer]}]
    found = platform_of(target(cluster)).prediction("order-17", EVER)
    assert found.exact == (Prediction("v-a", "e-1", "order-17", 100.0),)
    assert (found.oldest, found.places[1]) == (5.0, "14 files of captures there")
    cluster.predictions = [part]
    assert platform_of(target(cluster)).prediction("order-18", EVER).percent == 0, "as its Rollout says"


def test_a_stack_takes_the_champion_of_one_on_a_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    on_trial(cluster, plan())
    monkeypatch.setattr(next_release, "resolve", lambda _: target(cluster))
    assert next_release.taken_from("prod", "dev")["package_digest"] == "sha256:a"


def test_the_next_release_is_not_foretold_there(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_release, "config_of", lambda _: {})
    with pytest.raises(OperatorError, match="--next finds what an update releases on AWS alone so far"):
        next_release.id_of(target(cluster))


def test_commands_in_messages_lead_to_the_cluster() -> None:
    named = Target("", NAME, "", {"platform": "kubernetes", "namespace": NAMESPACE, "context": CONTEXT})
    assert named.commands.modelstack == f"modelstack --endpoint {NAMESPACE}/{NAME} --context {CONTEXT}"


def test_a_trial_is_shown_explained_and_watched(cluster: Cluster, typed: Callable[..., Result]) -> None:
    on_trial(cluster, plan())
    seen = typed("status")
    assert "On trial: b at 10%, step 1 of 2: the step's bake: " in " ".join(seen.stdout.split()), seen.output
    assert json.loads(typed("status", "--json").stdout)["trial"]["waits_for"].startswith("the step's bake: ")
    assert "90%" in seen.stdout
    told = json.loads(typed("explain", "--json").stdout)
    assert (told["outcome"], told["release"], told["endpoint_status"]) == ("running", "b", "InService")
    assert {row["name"]: row["weight"] for row in told["serving"]} == {"v-a": 90.0, "v-b": 10.0}
    lines = typed("watch", "--for", "0.1")
    assert lines.exit_code == 5
    assert "v-a (champion) 90%  v-b (challenger) 10%" in lines.stdout


def test_a_rollback_moves_the_traffic_rejects_the_package_and_keeps_who_and_why_without_prometheus(
    cluster: Cluster, typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_trial(cluster, plan())
    cluster.blind = True
    for name in ("alarms", "versions"):
        monkeypatch.setattr(Kubernetes, name, lambda *_: pytest.fail("what brings traffic back waits for no metrics"))
    done = typed("rollback", "--yes", "--reason", "customers complain")
    assert done.exit_code == 0, done.output
    assert "rolled back: asked for by ada@example.org: customers complain" in done.stdout
    assert weights_there(cluster) == {"solo-a": 100}
    assert cluster.objects[PACKAGE.path(NAMESPACE, "package-b")]["status"]["approval"] == "Rejected"


def test_an_approval_lets_the_judge_go_on_and_keeps_who_and_why(cluster: Cluster, typed: Callable[..., Result]) -> None:
    on_trial(cluster, plan(Step(10, 20, approve=True), Step(50, 20)), 600)
    said = " ".join(typed("status").stdout.split())  # a narrow terminal wraps it
    assert '`modelstack --endpoint models/flight-delay-prod --context prod approve --reason "..."` lets it' in said
    done = typed("approve", "--reason", "looks well")
    assert (done.exit_code, done.stdout) == (0, "step 1 of b is approved: ada@example.org: looks well\n"), done.output
    assert cluster.objects[ROLLOUT.path(NAMESPACE, NAME)]["status"]["phase"] == "baking"
