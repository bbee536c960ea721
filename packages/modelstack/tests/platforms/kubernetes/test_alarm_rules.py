"""The rules of Prometheus: its own tools read and play them, with what they see written as series."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.kubernetes import objective_rules
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.alertmanager import Receiver, config
from modelstack.platforms.kubernetes.rule import Rule, Watched, rule_file

A, B = "service/models/champion/8080/http", "service/models/challenger/8080/http"
WATCHED = Watched(
    "models", "flight-delay-prod", {"v-a": (A,), "v-b": (B,)}, every_seconds=10, period_seconds=60, max_5xx_rate=0.05,
    max_p99_ms=80, nats=8.0,
)  # fmt: skip
OBJECTIVE = Objective(0.999, 0.99, 250, 7 * 86_400, 20)
TARGET = 'job="envoy", instance="10.0.0.1:19001"'
pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus")]


ALARMS, PROMISED = group(WATCHED), objective_rules.group(WATCHED, OBJECTIVE, every=60, nats=12.0)
NOT_SCRAPED = "metrics|controller|probe"  # what fires at what is missing, in a world that holds nothing else


def play(
    tmp_path: Path,
    series: Mapping[str, str],
    fires: Mapping[str, Sequence[str]],
    *,
    of: Rule = ALARMS,
    beside: Rule | None = None,
    every: str = "10s",
    only: str = "all else",
    sums: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Let promtool evaluate rules and look what fires: time -> the names of alerts, without the endpoint's.

    `sums` are time -> the sum of a record's series. Requests without a series of answers are those of pods.
    """
    for name, loaded in {"rules.yml": [of], "beside.yml": [beside] if beside else []}.items():
        (tmp_path / name).write_text(yaml.safe_dump(rule_file(loaded), sort_keys=False))
    names = {rule.get("alert") for rule in of["rules"]}
    chosen = (
        f'alertname=~"flight-delay-prod-{only}.*"' if only in NOT_SCRAPED else f'alertname!~".*-({NOT_SCRAPED})-.*"'
    )
    expected: list[dict[str, Any]] = []
    for at, found in fires.items():
        wanted = [f"flight-delay-prod-{name}" for name in found]
        assert names >= set(wanted)
        samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in wanted]
        count = f'count by (alertname) (ALERTS{{alertstate="firing", {chosen}}})'
        expected.append({"expr": count, "eval_time": at, "exp_samples": samples})
    for at, found in (sums or {}).items():
        each = {f"sum({record})": [{"labels": "{}", "value": value}] for record, value in found.items()}
        expected += [{"expr": text, "eval_time": at, "exp_samples": samples} for text, samples in each.items()]
    answers = {name.replace("_upstream_rq_xx", "_canary_upstream_rq_xx"): values for name, values in series.items()}
    played = [{"series": name, "values": values} for name, values in {**answers, **series}.items()]
    one = {"interval": every, "input_series": played, "promql_expr_test": expected}
    test = {"rule_files": ["rules.yml", "beside.yml"], "evaluation_interval": every, "tests": [one]}
    promtool(tmp_path, test)


def promtool(folder: Path, test: dict[str, Any]) -> None:
    (folder / "test.yml").write_text(yaml.safe_dump(test, sort_keys=False, width=10_000))
    words = ["promtool", "test", "rules", "test.yml"]
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def answered(cluster: str, code: str) -> str:
    return requests(cluster, code).replace("_upstream_rq_xx", "_canary_upstream_rq_xx")


def requests(cluster: str, code: str) -> str:
    return (
        f'envoy_cluster_upstream_rq_xx{{{TARGET}, envoy_cluster_name="{cluster}", envoy_response_code_class="{code}"}}'
    )


def bucket(cluster: str, le: str) -> str:
    return f'envoy_cluster_upstream_rq_time_bucket{{{TARGET}, envoy_cluster_name="{cluster}", le="{le}"}}'


def at_gateway(code: str) -> str:
    listener = f'{TARGET}, envoy_http_conn_manager_prefix="http-10080"'
    return f'envoy_http_downstream_rq_xx{{{listener}, envoy_response_code_class="{code}"}}'


UP = {f"up{{{TARGET}}}": "1x500", f"envoy_server_uptime{{{TARGET}}}": "9000+10x500"}


def test_the_tools_of_prometheus_take_the_rules_and_those_of_the_alertmanager_its_config(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule_file([ALARMS, PROMISED]), sort_keys=False))
    checked = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    told = {"page": Receiver(("oncall@example.org",)), "ticket": Receiver()}
    sent = {"global": {"smtp_smarthost": "mail.example.org:25", "smtp_from": "alerts@example.org"}}
    whole = config("flight-delay-prod", "models", page=told["page"], ticket=told["ticket"]) | sent
    (tmp_path / "am.yml").write_text(yaml.safe_dump(whole))
    taken = subprocess.run(["amtool", "check-config", tmp_path / "am.yml"], capture_output=True, text=True, check=False)
    assert taken.returncode == 0, taken.stderr
    for labels, tells in (
        (
            ["namespace=models", "endpoint=flight-delay-prod", "modelstack_wake=true", "severity=ticket"],
            ("controller", "ticket"),
        ),
        (["namespace=models", "endpoint=flight-delay-prod", "severity=page"], ("page",)),
        (["namespace=others", "endpoint=flight-delay-prod", "modelstack_wake=true", "severity=page"], ("nobody",)),
        (["namespace=models", "endpoint=another", "modelstack_wake=true", "severity=page"], ("nobody",)),
    ):
        asked = ["amtool", "config", "routes", "test", f"--config.file={tmp_path / 'am.yml'}", *labels]
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        assert found == ",".join(f"models/flight-delay-prod/{name}" for name in tells)


def test_the_first_burst_of_failures_fires_though_the_series_is_born_with_it(tmp_path: Path) -> None:
    series = {**UP, requests(B, "2"): "0+20x40", requests(B, "5"): "_x10 60x30", requests(A, "2"): "0+20x40"}
    play(tmp_path, series, {"90s": [], "100s": ["v-b-5xx"], "150s": ["v-b-5xx"], "170s": []})


def test_a_failure_among_few_requests_is_chance(tmp_path: Path) -> None:
    series = {**UP, requests(B, "2"): "0+3x40", requests(B, "5"): "_x10 1x30"}
    play(tmp_path, series, {"100s": [], "120s": []})


@pytest.mark.parametrize("seen", [10, 11], ids=["with the scrape", "one evaluation after the scrape began"])
def test_counters_that_were_there_before_anybody_scraped_are_no_burst(tmp_path: Path, seen: int) -> None:
    series = {
        f"up{{{TARGET}}}": "_x10 1x30",
        f"envoy_server_uptime{{{TARGET}}}": "_x10 9000+10x30",
        requests(B, "2"): f"_x{seen} 1000+20x30",
        requests(B, "5"): f"_x{seen} 9000x30",
        f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{B}"}}': "_x10 1x30",
        at_gateway("2"): f"_x{seen} 1000+20x30",
        at_gateway("5"): f"_x{seen} 99000x30",
    }
    play(tmp_path, series, {"100s": [], "110s": [], "120s": [], "130s": [], "150s": []})


def test_each_request_of_a_period_counts_once(tmp_path: Path) -> None:
    series = {
        **UP, requests(B, "2"): "0+20x40", requests(B, "5"): "0+1x40", requests(A, "2"): "0+500x40",
        bucket(B, "50"): "0+5x40", bucket(B, "82"): "0+18x40", bucket(B, "+Inf"): "0+21x40",
    }  # fmt: skip
    counted = {"requests": 126, "failed": 6, "timed": 126, "slow": 18}  # of 60 s
    sums: dict[str, float] = {f'modelstack:{name}:period{{variant="v-b"}}': counted[name] for name in counted}
    sums['modelstack:failed:period{variant="v-a"}'] = 0  # it has no series of failures, so there were none
    play(tmp_path, series, {}, sums={"150s": sums, "230s": sums})


def test_the_gateways_requests_count_once_and_as_of_the_evaluation_before(tmp_path: Path) -> None:
    """What a scrape brings that is under way is seen late, and of these counters nothing is recorded."""
    present = f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{B}"}}'
    series = {**UP, present: "1x60", at_gateway("2"): "0x10 70x30", at_gateway("5"): "0x10 7x5 9x25"}
    rises = {"110s": (0, 0), "120s": (77, 7), "130s": (0, 0), "170s": (0, 0), "180s": (2, 2), "190s": (0, 0)}
    names = ("answered", "own_errors")
    play(tmp_path, series, {}, sums={
        at: {f"modelstack:gateway_{name}:rise": value for name, value in zip(names, found, strict=True)}
        for at, found in rises.items()
    })  # fmt: skip


def test_a_gateway_that_began_again_counts_from_0_and_a_new_one_from_its_start(tmp_path: Path) -> None:
    again = {**UP, requests(B, "2"): "0+20x9 0+20x30", requests(B, "5"): "500x9 90x30"}
    play(tmp_path, again, {"90s": [], "100s": ["v-b-5xx"]})
    new = {
        f"up{{{TARGET}}}": "_x10 1x30",
        f"envoy_server_uptime{{{TARGET}}}": "_x10 7+10x30",
        requests(B, "2"): "_x10 10+20x30",
        requests(B, "5"): "_x10 90x30",
    }
    play(tmp_path, new, {"90s": [], "100s": ["v-b-5xx"]})


def test_a_gateway_that_was_new_when_it_was_looked_at_counts_from_its_start(tmp_path: Path) -> None:
    series = {
        f"up{{{TARGET}}}": "_x10 1x30",
        f"envoy_server_uptime{{{TARGET}}}": "_x10 115+10x30",  # 125 s when its first counters are looked at
        f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{B}"}}': "_x10 1x30",
        at_gateway("2"): "_x10 70x30",
    }
    play(tmp_path, series, {}, sums={"110s": {"modelstack:gateway_answered:rise": 70}})


def test_failures_of_both_fire_for_both(tmp_path: Path) -> None:
    series = {**UP, **{requests(one, code): "0+20x40" for one in (A, B) for code in ("2", "5")}}
    play(tmp_path, series, {"60s": ["v-a-5xx", "v-b-5xx"]})


def test_slow_answers_fire_in_two_of_three_periods(tmp_path: Path) -> None:
    # 80 ms: counted above the bound at or above it, which is 100. From 100 s on a fifth of the answers is slower.
    series = {
        **UP, requests(B, "2"): "0+50x60", bucket(B, "50"): "0+0x60", bucket(B, "+Inf"): "0+50x60",
        bucket(B, "82"): "0+50x9 500+40x50",
    }  # fmt: skip
    play(tmp_path, series, {"110s": [], "150s": [], "180s": ["v-b-p99"], "300s": ["v-b-p99"]})


def test_what_the_gateway_answers_itself_pages(tmp_path: Path) -> None:
    series = {
        **UP,
        f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{B}"}}': "1x60",
        requests(B, "2"): "0+45x60",
        requests(B, "5"): "0+1x60",
        at_gateway("2"): "0+45x60",
        at_gateway("5"): "0+1x20 20+6x40",
        'envoy_http_downstream_rq_xx{job="envoy", instance="10.9.9.9:1", envoy_http_conn_manager_prefix="x", '
        'envoy_response_code_class="5"}': "0+900x60",  # another gateway's
        'up{job="envoy", instance="10.9.9.9:1"}': "1x60",
    }
    play(tmp_path, series, {"200s": [], "260s": ["gateway-errors"]})


def test_a_stack_of_the_same_name_in_another_namespace_has_counts_of_its_own(tmp_path: Path) -> None:
    theirs = {variant: (name.replace("/models/", "/others/"),) for variant, (name,) in WATCHED.variants.items()}
    beside = group(replace(WATCHED, namespace="others", variants=theirs))
    counted = {requests(B, "2"): "0+20x40", requests(B, "5"): "0+10x40", requests(theirs["v-b"][0], "2"): "0+500x40"}
    play(tmp_path, {**UP, **counted}, {"100s": ["v-b-5xx"]}, beside=beside)  # in one of both


@pytest.mark.parametrize("measure", ["drift", "concept"])
def test_evidence_of_1_fires_whichever_replica_tells_it(tmp_path: Path, measure: str) -> None:
    told = 'namespace="models", endpoint="flight-delay-prod", variant="v-b", job="controller"'
    series = {
        f'modelstack_{measure}_evidence{{{told}, instance="one"}}': "0.4x5 1.2x20",
        f'modelstack_{measure}_evidence{{{told}, instance="two"}}': "0.4x5 1.2x10",
    }
    play(tmp_path, series, {"50s": [], "70s": [f"v-b-{measure}"], "190s": [f"v-b-{measure}"]})


@pytest.mark.parametrize(("other", "moved"), [("2", "RELP, wind"), ("0.6", "RELP")])
def test_the_alert_on_drift_names_the_features_that_moved_the_most_first(
    tmp_path: Path, other: str, moved: str
) -> None:
    (rule,) = (one for one in ALARMS["rules"] if one.get("alert", "").endswith("v-b-drift"))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule_file([{"name": "drift", "rules": [rule]}])))
    place = 'namespace="models", endpoint="flight-delay-prod", variant="v-b"'
    by_feature = {"wind": other, "RELP": "20.1", "distance": "0.1"}
    played = [{"series": f"modelstack_drift_evidence{{{place}}}", "values": "22.2x5"}]
    played += [
        {"series": f'modelstack_drift_evidence{{{place}, feature="{name}"}}', "values": f"{value}x5"}
        for name, value in by_feature.items()
    ]
    notes = {**rule["annotations"], "value": "22.2", "moved": moved}
    told = [{"exp_labels": rule["labels"], "exp_annotations": notes}]
    alerts = [{"eval_time": "20s", "alertname": rule["alert"], "exp_alerts": told}]
    test = {"interval": "10s", "input_series": played, "alert_rule_test": alerts}
    promtool(tmp_path, {"rule_files": ["rules.yml"], "evaluation_interval": "10s", "tests": [test]})


def test_what_watches_fires_when_it_does_not_do_its_work(tmp_path: Path) -> None:
    told = 'namespace="models", endpoint="flight-delay-prod", job="controller", instance="one"'
    late = {f"modelstack_labels_delay_seconds{{{told}}}": "0x5 901x20"}
    play(tmp_path, late, {"50s": [], "60s": ["functions-failing"]})
    failing = {f"modelstack_tick_failures_total{{{told}}}": "0x5 1+1x20"}
    play(tmp_path, failing, {"50s": [], "80s": ["functions-failing"]})


def silent(tmp_path: Path, series: Mapping[str, str], fires: Mapping[str, Sequence[str]], subject: str) -> None:
    """As `play`, minute by minute, of the alerts on a subject that fire at what is missing."""
    play(tmp_path, series, fires, every="1m", only=subject)


def test_a_probe_that_fails_stops_or_never_ran_pages(tmp_path: Path) -> None:
    told = 'namespace="models", endpoint="flight-delay-prod", job="controller", instance="one"'
    success, time = f"modelstack_probe_success{{{told}}}", f"modelstack_probe_time_seconds{{{told}}}"
    name = ["probe-silent"]
    silent(tmp_path, {success: "1x4 0x20", time: "0+60x24"}, {"6m": [], "7m": name, "20m": name}, "probe")
    silent(tmp_path, {success: "1x4 0 1x20", time: "0+60x24"}, {"7m": [], "10m": []}, "probe")
    silent(tmp_path, {success: "1x24", time: "0+60x4 240x20"}, {"7m": [], "10m": name}, "probe")
    silent(tmp_path, {}, {"20m": [], "31m": name}, "probe")


def test_a_controller_that_stops_or_tells_nothing_pages(tmp_path: Path) -> None:
    told = 'endpoint="flight-delay-prod", job="controller"'
    ticked = f'modelstack_tick_time_seconds{{namespace="models", {told}, instance="one"}}'
    beside = f'modelstack_tick_time_seconds{{namespace="others", {told}, instance="two"}}'
    name = ["controller-failing"]
    silent(tmp_path, {ticked: "0+60x60"}, {"10m": []}, "controller")
    silent(tmp_path, {ticked: "0+60x4 240x60"}, {"8m": [], "11m": name}, "controller")
    silent(tmp_path, {ticked: "0+60x4 240x60", beside: "0+60x60"}, {"8m": [], "11m": name}, "controller")
    silent(tmp_path, {beside: "0+60x60"}, {"1m": [], "3m": name}, "controller")
    silent(tmp_path, {}, {"1m": [], "3m": name}, "controller")


def test_a_gateway_that_is_not_scraped_asks_for_a_ticket(tmp_path: Path) -> None:
    present = f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{A}"}}'
    silent(tmp_path, {present: "2x30"}, {"20m": []}, "metrics")
    silent(tmp_path, {}, {"4m": [], "6m": ["metrics-missing"]}, "metrics")


def test_a_budget_that_burns_fast_pages_and_slowly_asks_for_a_ticket(tmp_path: Path) -> None:
    up = {f"up{{{TARGET}}}": "1x1200", f"envoy_server_uptime{{{TARGET}}}": "9000+60x1200"}

    def failing(share: str) -> dict[str, str]:
        return {**up, requests(A, "2"): "0+980x1200", requests(A, "5"): share}

    # 7 days: 14.4 times over 14 minutes, 6 times over 84; 1 time over 17 hours. A budget of 0.1%.
    play(
        tmp_path,
        failing("0x100 0+20x40 800x900"),
        {"106m": [], "112m": ["slo-page", "slo-ticket"]},
        of=PROMISED,
        every="1m",
    )
    play(tmp_path, failing("0+2x1200"), {"1000m": ["slo-ticket"]}, of=PROMISED, every="1m")


def test_each_alert_says_how_urgent_it_is_what_missing_data_means_and_where_help_is() -> None:
    runbook = Path(__file__).resolve().parents[5] / "docs" / "how-to" / "runbook.md"
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^##+ (.*)$", runbook.read_text(), re.M)
    }
    rows = dict(re.findall(r"^\| `([^`]+)` \| (page|ticket) \| ", runbook.read_text(), re.M))
    alerts = [rule for each in (ALARMS, PROMISED) for rule in each["rules"] if "alert" in rule]
    assert len(alerts) == 2 * 4 + 2 + 2 + 2 + 2
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["labels"]["endpoint"] == "flight-delay-prod"
        assert {"summary", "value", "threshold", "missing", "runbook"} <= rule["annotations"].keys()
        assert rule["annotations"]["runbook"].partition("#")[2] in anchors
        name = re.sub("^v-[ab]-", "v-<id>-", rule["alert"].removeprefix("flight-delay-prod-"))
        if name != "probe-silent":  # it is told of in the row of slo-page
            assert rows[name] == rule["labels"]["severity"]
    pages = {rule["alert"].removeprefix("flight-delay-prod-"): rule["annotations"]["runbook"] for rule in alerts}
    own = [pages[name] for name in ("gateway-errors", "metrics-missing", "controller-failing", "probe-silent")]
    assert len({*own}) == len(own), "each has a section of its own"
    woken = [rule["alert"] for rule in alerts if rule["labels"].get("modelstack_wake")]
    assert woken == [f"flight-delay-prod-v-{one}-{measure}" for one in "ab" for measure in ("5xx", "p99")]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"period_seconds": 5}, "period_seconds: got 5, expected at least"), ({"max_p99_ms": 1e9}, "max_p99_ms: got")],
)
def test_what_cannot_be_watched_is_refused(wrong: dict[str, Any], told: str) -> None:
    given = {"every_seconds": 10, "period_seconds": 60, "max_5xx_rate": 0.05, "max_p99_ms": 80, "nats": 8.0, **wrong}
    with pytest.raises(ValueError, match=told):
        Watched("models", "e", {}, **given)


def test_a_missing_sample_of_the_gateway_is_no_restart(tmp_path: Path) -> None:
    present = f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{B}"}}'
    series = {**UP, present: "1x60", at_gateway("2"): "0+20x60", at_gateway("5"): "900x30 stale 900x30"}
    play(tmp_path, series, {"310s": [], "320s": [], "330s": [], "360s": []})


def test_requests_that_no_pod_answers_page_as_the_gateways_and_accuse_no_version(tmp_path: Path) -> None:
    series = {
        **UP,
        f'envoy_cluster_membership_total{{{TARGET}, envoy_cluster_name="{B}"}}': "1x60",
        **{requests(B, "2"): "0+45x60", requests(B, "5"): "0+6x60", answered(B, "5"): "0x60"},
        **{at_gateway("2"): "0+45x60", at_gateway("5"): "0+6x60"},
    }
    play(tmp_path, series, {"260s": ["gateway-errors"]}, sums={"260s": {"modelstack:failed:period": 0}})
