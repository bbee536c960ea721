"""The commands on a stack on Kubernetes: the same pages and sentences as on AWS, and clear words for failures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.console.app import app
from cli.console.pages import Pages
from cli.main import main
from cli.platform.choose import platform_of
from cli.platform.facts import Endpoint
from cli.replay import Pace, run
from cli.target import Target
from cli.view import render
from cli.view.snapshot import seen_at, take
from pipeline.contract import Event
from platforms.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    GATEWAY,
    PACKAGE,
    ROLLOUT,
    ROUTE,
)
from platforms.kubernetes.names import CONFIG, CONTENT, ENDPOINT, VARIANT
from platforms.kubernetes.rules import rules, weights
from platforms.kubernetes.serving_config import Backend, ServingConfig
from platforms.kubernetes.spec import RolloutSpec
from platforms.kubernetes.workloads import SERVICE_NAME
from rollout.core.live import Live, Variant
from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from rollout.core.state import RolloutState
from tests.cli.browsed import Browser
from tests.cli.clustered import CONTEXT, NAMESPACE, Cluster
from tests.cli.conftest import plan, put_on_trial
from tests.cli.played import printed
from tests.rollout.worlds import fresh
from tests.rollout.worlds import release as short
from tests.simulator.platform import ManualClock

NAME = "flight-delay-prod"
RELEASES = {name: name * 12 for name in "ab"}
PAIR = ServingConfig("pair", *(Backend(f"v-{RELEASES[name]}", f"{NAME}-{RELEASES[name]}") for name in "ab"))
SHADOW = ServingConfig("shadow", PAIR.champion, PAIR.challenger, 20)


def release(name: str) -> Release:
    backend = PAIR.champion if name == "a" else PAIR.challenger
    assert backend is not None
    return Release(
        RELEASES[name], name * 64, f"sha256:{name * 64}", "oci://r/m@sha256:1", "r/serving@sha256:2", "m",
        f"{NAMESPACE}/{NAME}-{name}", "model", backend.variant, backend.workload, "2 x 500m/512Mi",
    )  # fmt: skip


def serve(cluster: Cluster, config: ServingConfig, weights: dict[str, int]) -> None:
    """Have a route that serves a config with these weights, by pods that are ready."""
    cluster.put(CONFIG_MAP, {"metadata": {"name": config.name}, "data": {CONTENT: config.to_json()}})
    parent = {"name": "gate"}
    conditions = [{"type": name, "status": "True", "observedGeneration": 1} for name in ("Accepted", "ResolvedRefs")]
    cluster.put(
        ROUTE,
        {
            "metadata": {"name": NAME, "annotations": {CONFIG: config.name}},
            "spec": {"parentRefs": [parent], "rules": rules(config, weights)},
            "status": {"parents": [{"parentRef": parent, "conditions": conditions}]},
        },
    )
    for item in config.backends:
        labels = {ENDPOINT: NAME, VARIANT: item.variant}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": "r/serving@sha256:2"}]}}
        cluster.put(DEPLOYMENT, {"metadata": {"name": item.workload, "labels": labels}, "spec": {"template": template}})
        pod = {"conditions": {"ready": True}, "targetRef": {"uid": item.workload}}
        slice_labels = {SERVICE_NAME: item.workload}
        cluster.put(
            ENDPOINT_SLICE, {"metadata": {"name": f"{item.workload}-x", "labels": slice_labels}, "endpoints": [pod]}
        )


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """An endpoint with a champion that serves alone, and a package of it."""
    with Cluster().serving() as made:
        monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig(tmp_path / "kubeconfig")))
        url = f"http://127.0.0.1:{made.port}"
        spec = RolloutSpec("prod", "flight-delay", "gate", url, "model.example.org")
        made.put(ROLLOUT, {"metadata": {"name": NAME}, "spec": spec.as_dict()})
        listeners, addresses = [{"protocol": "HTTP", "port": made.port}], [{"value": "127.0.0.1"}]
        made.put(
            GATEWAY,
            {"metadata": {"name": "gate"}, "spec": {"listeners": listeners}, "status": {"addresses": addresses}},
        )
        package = {
            "digest": "sha256:9",
            "recipe": "a" * 64,
            "image": "r/serving@sha256:2",
            "metrics": {"auc": 0.70000001},
        }
        labels = {ENDPOINT: NAME}
        made.put(
            PACKAGE,
            {
                "metadata": {"name": f"{NAME}-a", "labels": labels},
                "spec": package,
                "status": {"approval": "Approved", "why": "first"},
            },
        )
        serve(made, ServingConfig("solo", PAIR.champion), {PAIR.champion.variant: 100})
        yield made


@pytest.fixture
def typed(cluster: Cluster) -> Callable[..., Result]:
    """Types a command about the endpoint, which is named outright."""
    there = ("--endpoint", f"{NAMESPACE}/{NAME}", "--context", CONTEXT)
    return lambda *words: CliRunner().invoke(main, [*there, *words])


def target(cluster: Cluster) -> Target:
    url = f"http://127.0.0.1:{cluster.port}"
    outputs = {
        "platform": "kubernetes", "endpoint_name": NAME, "context": CONTEXT, "namespace": NAMESPACE,
        "gateway": "gate", "host": "", "prometheus_url": url,
    }  # fmt: skip
    return Target("prod", NAME, "", outputs)


def on_aws(weights: dict[str, float], copies: dict[str, float]) -> Endpoint:
    """What AWS would tell of the same endpoint."""
    live = Live(
        "ready",
        "config",
        {name: Variant(weight, weight, 1) for name, weight in weights.items()},
        shadows={name: Variant(weight, weight, 1) for name, weight in copies.items()},
    )
    return Endpoint("InService", live)


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


def test_packages_have_their_approval_their_metrics_and_the_releases_id(cluster: Cluster) -> None:
    (found,) = platform_of(target(cluster)).packages(5)
    assert (found.view.version, found.view.approval, found.view.metrics, found.why) == (
        1,
        "Approved",
        {"auc": "0.7"},
        "first",
    )
    assert found.name == f"{NAMESPACE}/{NAME}-a"
    assert found.lineage == {"package_digest": "sha256:9", "recipe": "a" * 64}


RULE = {
    "name": f"{NAME}-v-a-5xx", "query": "x > 0.05", "state": "firing", "health": "ok",
    "labels": {"severity": "page", "variant": "v-a", "measure": "5xx"},
    "annotations": {"summary": "It fails.", "runbook": "runbook.md#5xx", "threshold": "0.05", "missing": "None did."},
    "alerts": [
        {
            "state": "firing", "value": "4.8e-01", "activeAt": "2026-03-01T12:00:00.123456789Z",
            "labels": {"alertname": f"{NAME}-v-a-5xx", "variant": "v-a"}, "annotations": {"summary": "It fails."},
        }
    ],
}  # fmt: skip


def test_alarms_are_told_with_value_threshold_and_meaning(cluster: Cluster) -> None:
    quiet = {
        **RULE,
        "name": f"{NAME}-probe-silent",
        "state": "inactive",
        "labels": {"severity": "ticket"},
        "alerts": [],
    }
    broken = {**quiet, "name": f"{NAME}-slo-page", "health": "err", "lastError": "many-to-many"}
    again = {**RULE, "name": f"{NAME}-probe-silent"}
    cluster.rules = [
        {"name": NAME, "rules": [RULE, quiet, again]},
        {"name": f"{NAME}-slo", "rules": [broken]},
        {"name": "another", "rules": [RULE]},
    ]
    found = platform_of(target(cluster)).alarms_in_full()
    assert [(item.alarm.name, item.alarm.state, item.alarm.severity) for item in found] == [
        (f"{NAME}-v-a-5xx", "ALARM", "page"),
        (f"{NAME}-probe-silent", "ALARM", "page"),  # of two rules of one name, the one that rings
        (f"{NAME}-slo-page", "INSUFFICIENT_DATA", "ticket"),
    ]
    assert found[0].alarm.brief == "value 0.48, threshold 0.05"
    assert (found[0].text, found[0].missing, found[0].runbook) == (
        "It fails.", "None did.", "runbook.md#5xx"
    )  # fmt: skip
    assert str(found[0].since) == "2026-03-01 12:00:00+00:00"


def test_a_prometheus_that_is_down_rings_and_hides_nothing_else(cluster: Cluster) -> None:
    cluster.blind = True
    platform = platform_of(target(cluster))
    (alarm,) = platform.alarms()
    assert (alarm.name, alarm.state) == (f"{NAME}-prometheus", "ALARM")
    assert "starting up" in alarm.reason
    assert platform.kept_aside(["LabelsUnparsable"], 3600) == {}
    assert platform.delay() == 0.0


def test_a_request_goes_through_the_gateway_to_the_variant_that_is_meant(
    cluster: Cluster, typed: Callable[..., Result], tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_text('{"instances": [1]}')
    cluster.answer = (200, {"x-modelstack-variant": PAIR.champion.variant}, '{"predictions": [1]}')
    done = typed("invoke", str(body), "--variant", PAIR.champion.variant)
    assert (done.stdout, done.stderr) == ('{"predictions": [1]}\n', f"answered by {PAIR.champion.variant}\n")
    ((headers, sent),) = cluster.requests
    assert (sent, headers["host"], headers["x-modelstack-target"]) == (
        '{"instances": [1]}', "model.example.org", PAIR.champion.variant
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "by"), [({"x-modelstack-variant": "v-a"}, "the model"), ({}, "the gateway itself")]
)
def test_a_refusal_says_whose_it_is(
    cluster: Cluster, typed: Callable[..., Result], tmp_path: Path, headers: dict[str, str], by: str
) -> None:
    body = tmp_path / "body"
    body.write_text("{}")
    cluster.answer = (503, headers, json.dumps({"error": "no"}))
    done = typed("invoke", str(body))
    assert (done.exit_code, done.stderr) == (1, f"error: invoking {NAME}: {by} answered 503: no\n")


@pytest.mark.parametrize("command", [("audit", "show"), ("lineage",), ("labels", __file__)])
def test_what_works_on_aws_alone_says_so_in_a_line(typed: Callable[..., Result], command: tuple[str, ...]) -> None:
    done = typed(*command)
    said = f"endpoint {NAME} runs on Kubernetes, and this command works on AWS alone so far"
    if command[0] == "labels":
        assert done.exit_code == 2
        return
    assert (done.exit_code, done.stderr) == (2, f"error: {said}\n")


def failed(done: Result) -> str:
    assert done.exit_code in {1, 2}
    assert "Traceback" not in done.output
    return done.stderr


def test_a_context_that_is_missing_is_named_with_those_there_are(cluster: Cluster) -> None:
    done = CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/{NAME}", "--context", "prd", "status"])
    assert "no context 'prd' in" in failed(done)
    assert "its contexts are: prod" in done.stderr


def test_a_rollout_that_is_missing_is_named_with_those_there_are(cluster: Cluster) -> None:
    done = CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/other", "status"])
    assert f"namespace {NAMESPACE} has no Rollout other; there are: {NAME}" in failed(done)


def test_a_namespace_that_is_missing_is_named(cluster: Cluster) -> None:
    done = CliRunner().invoke(main, ["--endpoint", f"elsewhere/{NAME}", "status"])
    assert "there is no namespace elsewhere" in failed(done)


def test_a_cluster_without_our_kinds_is_told_so(cluster: Cluster) -> None:
    cluster.kinds.discard(ROLLOUT.plural)
    assert "no such kind there" in failed(CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/{NAME}", "status"]))


def test_who_may_not_read_is_told_what_and_as_whom(cluster: Cluster, typed: Callable[..., Result]) -> None:
    cluster.forbidden.add("rollouts")
    said = failed(typed("status"))
    assert 'cannot get resource "rollouts"' in said
    assert "context prod" in said


def test_an_api_server_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster().serving() as gone:
        monkeypatch.setenv("KUBECONFIG", str(gone.kubeconfig(tmp_path / "kubeconfig")))
    done = CliRunner().invoke(main, ["--endpoint", f"{NAMESPACE}/{NAME}", "status"])
    assert f"the API server http://127.0.0.1:{gone.port} (context prod) does not answer" in failed(done)


@pytest.mark.parametrize("word", ["/x", "a/", "a/b/c"])
def test_a_name_of_another_form_is_refused(word: str) -> None:
    said = failed(CliRunner().invoke(main, ["--endpoint", word, "--context", "c", "status"]))
    assert f"--endpoint is {word!r}" in said
    assert "NAMESPACE/NAME" in said


def test_region_and_context_exclude_each_other() -> None:
    done = CliRunner().invoke(main, ["--endpoint", "a/b", "--region", "eu-west-1", "status"])
    assert "--region is of an endpoint on AWS, and --context of one on Kubernetes" in failed(done)


def test_commands_in_messages_lead_to_the_cluster() -> None:
    named = Target("", NAME, "", {"platform": "kubernetes", "namespace": NAMESPACE, "context": CONTEXT})
    assert named.commands.modelstack == f"modelstack --endpoint {NAMESPACE}/{NAME} --context {CONTEXT}"


def on_trial(cluster: Cluster, trial: Plan, seconds: float = 25) -> None:
    """Have release b on trial there, as far as it comes in so many seconds."""
    world = fresh(clock=ManualClock(time.time() - 125 - seconds))
    world.controller().release(short("a"), None, trial)
    world.clock.sleep(120)
    put_on_trial(world, trial, seconds)
    state, named = world.state, {}
    for name in ("champion", "challenger", "previous"):
        if one := getattr(state, name):
            named[name] = replace(one, model_package_arn=f"{NAMESPACE}/package-{one.id}")
            named_so = {"name": f"package-{one.id}", "labels": {ENDPOINT: NAME}}
            cluster.put(PACKAGE, {"metadata": named_so, "spec": {"digest": one.package_digest}})
    state = replace(state, endpoint=NAME, **named)
    serve(cluster, ServingConfig("pair-ab", Backend("v-a", "solo-a"), Backend("v-b", "solo-b")), {"v-a": 90, "v-b": 10})
    serve_alone = ServingConfig("solo-a", Backend("v-a", "solo-a"))
    cluster.put(CONFIG_MAP, {"metadata": {"name": "solo-a"}, "data": {CONTENT: serve_alone.to_json()}})
    kept = cluster.objects[ROLLOUT.path(NAMESPACE, NAME)]
    kept["status"] = {"revision": state.revision, "phase": str(state.phase), "state": state.to_json()}


def weights_there(cluster: Cluster) -> dict[str, int]:
    return weights(cluster.objects[ROUTE.path(NAMESPACE, NAME)]["spec"]["rules"])


def test_a_trial_is_shown_explained_and_watched(cluster: Cluster, typed: Callable[..., Result]) -> None:
    on_trial(cluster, plan())
    seen = typed("status")
    assert "on trial b, step 1 of 2" in seen.stdout, seen.output
    assert "90%" in seen.stdout
    told = json.loads(typed("explain", "--json").stdout)
    assert (told["outcome"], told["release"], told["endpoint_status"]) == ("running", "b", "InService")
    assert {row["name"]: row["weight"] for row in told["serving"]} == {"v-a": 90.0, "v-b": 10.0}
    lines = typed("watch", "--for", "0.1")
    assert lines.exit_code == 5
    assert "v-a (champion) 90%  v-b (challenger) 10%" in lines.stdout


def test_a_rollback_moves_the_traffic_rejects_the_package_and_keeps_who_and_why_without_prometheus(
    cluster: Cluster, typed: Callable[..., Result]
) -> None:
    on_trial(cluster, plan())
    cluster.blind = True
    done = typed("rollback", "--yes", "--reason", "customers complain")
    assert done.exit_code == 0, done.output
    assert "rolled back: asked for by ada@example.org: customers complain" in done.stdout
    assert weights_there(cluster) == {"solo-a": 100}
    assert cluster.objects[PACKAGE.path(NAMESPACE, "package-b")]["status"]["approval"] == "Rejected"


def test_an_approval_lets_the_judge_go_on_and_keeps_who_and_why(cluster: Cluster, typed: Callable[..., Result]) -> None:
    on_trial(cluster, plan(Step(10, 20, approve=True), Step(50, 20)), 600)
    assert 'type: modelstack --endpoint models/flight-delay-prod --context prod approve --reason "..."' in (
        typed("status").stdout
    )
    done = typed("approve", "--reason", "looks well")
    assert (done.exit_code, done.stdout) == (0, "step 1 of b is approved: ada@example.org: looks well\n"), done.output
    assert cluster.objects[ROLLOUT.path(NAMESPACE, NAME)]["status"]["phase"] == "baking"


@pytest.fixture
def console(cluster: Cluster) -> Browser:
    """The console of the endpoint, with b on trial."""
    on_trial(cluster, plan())
    at = time.time() // 60 * 60
    series = [
        {"metric": {"envoy_cluster_name": f"service/{NAMESPACE}/solo-{name}/8080/http"}, "values": [[at, "42"]]}
        for name in "ab"
    ]
    cluster.results["sum by (envoy_cluster_name) (increase("] = series
    now = datetime.now(UTC).isoformat()
    cluster.rules = [{"name": NAME, "interval": 5, "lastEvaluation": now, "rules": [{**RULE, "lastEvaluation": now}]}]
    return Browser(app(Pages(target(cluster))))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", ["Latency at the gateway", "v-b", "no data in this time"]),
        ("/rollout", ["On trial: <code>b</code> beside <code>a</code>", "off: nothing new is trained"]),
        ("/alarms", [f'id="{NAME}-v-a-5xx"', "value 0.48, threshold 0.05", "Missing data: None did."]),
        ("/registry", [f"<code>{NAMESPACE}/{NAME}</code>", "Approved", "auc <b>0.7</b>", "r/serving@sha256:2"]),
        ("/compare?one=1&other=3", ["<code>sha256:9</code>", "<code>sha256:b</code>", "differs"]),
    ],
)
def test_the_console_shows_the_same_pages(console: Browser, path: str, shown: list[str]) -> None:
    answer = console.get(path)
    assert answer.status_code == 200, answer.text
    assert [part for part in shown if part not in answer.text] == []


def test_the_console_says_that_lineage_is_of_aws_alone_so_far(console: Browser) -> None:
    answer = console.get("/lineage")
    assert answer.status_code == 400
    assert "stack prod runs on Kubernetes, and this command works on AWS alone so far" in answer.text


def test_a_dashboard_without_prometheus_says_so_in_each_graph(cluster: Cluster, console: Browser) -> None:
    cluster.blind = True
    answer = console.get("/")
    assert (answer.status_code, answer.text.count("answers 503: starting up")) == (200, 5)
    assert "prometheus rings" in answer.text


def test_a_replay_counts_what_answers_and_names_what_fails(cluster: Cluster) -> None:
    source = [Event(f"e{n}", datetime(2013, 3, 1, tzinfo=UTC), {"a": n}, None, None) for n in range(4)]
    report = run(target(cluster), source, Pace(rate=1000))
    assert (report.answers, report.variants) == ({"200": 4}, {"v-a": 4})
    headers, body = cluster.requests[0]
    assert headers["x-amzn-sagemaker-custom-attributes"] == "event-time=2013-03-01T00:00:00+00:00"
    assert (headers["x-amzn-sagemaker-inference-id"][:1], "instances" in body) == ("e", True)
    cluster.answer = (500, {"x-modelstack-variant": "v-a"}, '{"error": "boom"}')
    report = run(target(cluster), source[:1], Pace(rate=1000))
    assert (report.answers, report.first_failures) == ({"500": 1}, ["e0: the model answered 500: boom"])


def test_a_load_is_put_on_the_gateway_under_the_routes_host(
    cluster: Cluster, typed: Callable[..., Result], tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_text("{}")
    done = typed("loadtest", str(body), "--for", "0.2", "--rate", "20", "--json")
    assert (done.exit_code, json.loads(done.stdout)["statuses"].keys()) == (0, {"200"}), done.output
    assert cluster.requests[0][0]["host"] == "model.example.org"
