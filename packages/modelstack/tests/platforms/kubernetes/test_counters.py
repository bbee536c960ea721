from __future__ import annotations

from collections.abc import Mapping

import pytest

from modelstack.platforms.kubernetes.counters import PrometheusCounters
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.rollout.controller.ports import Quantile, SignalQuery
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.failing import UNANSWERED
from modelstack.rollout.core.state import Pivot
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.services.signals import CountedSignals
from tests.platforms.kubernetes.scrapes import START, Envoy, Tsdb, every, played

A, B = "service/models/champion/8080/http", "service/models/challenger/8080/http"
CLUSTERS = {"v-a": (A,), "v-b": (B,)}
P99 = KNOWN["latency_p99"]


def signals(tsdb: Tsdb, captured: float = 1.0) -> CountedSignals:
    prometheus = Prometheus(tsdb.client())
    return CountedSignals(PrometheusCounters(prometheus, "models", "endpoint", CLUSTERS.__getitem__, captured))


def ask(end: float, *metrics: Metric, start: float = 0, pivots: Mapping[str, Pivot] | None = None) -> SignalQuery:
    return SignalQuery("v-a", "v-b", "r-1", START + start, START + end, 10, metrics, pivots or {})


def errors(seen: TrialObservations, side: str = "challenger") -> list[Tally | None]:
    assert seen.windows is not None, seen.problem
    return [getattr(window, side).get("errors") for window in seen.windows]


def test_what_was_counted_before_the_trial_is_no_part_of_it(tsdb: Tsdb, envoy: Envoy) -> None:
    envoy.answer(A, "5", 1000)
    played(envoy, {-4: lambda: envoy.answer(A, times=50), 4: lambda: envoy.answer(A)}, every(5, -58, 30))
    assert errors(signals(tsdb).read(ask(10)), "champion") == [Tally(1, 0)]


def test_replicas_of_the_gateway_are_summed_and_one_that_comes_counts_from_its_start(tsdb: Tsdb, envoy: Envoy) -> None:
    other = Envoy(tsdb, "10.0.0.2:19001", born=START + 11)
    played(envoy, {2: lambda: envoy.answer(B, times=3), 14: lambda: envoy.answer(B, times=3)}, every(5, -58, 50))
    played(other, {13: lambda: other.answer(B, "5", 4)}, every(5, 14, 50))
    assert errors(signals(tsdb).read(ask(20))) == [Tally(3, 0), Tally(7, 4)]


def test_a_replica_that_went_away_stops_nothing(tsdb: Tsdb, envoy: Envoy) -> None:
    other = Envoy(tsdb, "10.0.0.2:19001")
    played(envoy, {2: lambda: envoy.answer(B), 32: lambda: envoy.answer(B)}, every(5, -58, 60))
    played(other, {3: lambda: other.answer(B)}, every(5, -57, 8))
    assert errors(signals(tsdb).read(ask(40))) == [Tally(2), Tally(0), Tally(0), Tally(1)]


def test_a_replica_whose_scrapes_fail_makes_its_windows_unknown(tsdb: Tsdb, envoy: Envoy) -> None:
    other = Envoy(tsdb, "10.0.0.2:19001")
    played(envoy, {2: lambda: envoy.answer(B), 32: lambda: envoy.answer(B)}, every(5, -58, 60))
    played(other, {3: lambda: other.answer(B)}, every(5, -57, 8))
    for at in every(5, 13, 58):
        other.scrape(START + at, fails=True)
    assert errors(signals(tsdb).read(ask(40))) == [None] * 4, "the last good scrape is in the first window"


def test_a_gap_that_crosses_an_edge_hides_the_windows_on_both_sides(tsdb: Tsdb, envoy: Envoy) -> None:
    counts = {at: lambda: envoy.answer(B) for at in (1, 9, 11, 16, 21, 31)}
    played(envoy, counts, every(5, -58, 60, without=[12]))
    assert errors(signals(tsdb).read(ask(40))) == [None, None, Tally(1), Tally(1)]


def test_a_gap_within_a_window_hides_nothing(tsdb: Tsdb, envoy: Envoy) -> None:
    counts = {at: lambda: envoy.answer(B) for at in (1, 3, 5, 11)}
    played(envoy, counts, every(2, -59, 60, without=[3, 5]))
    assert errors(signals(tsdb).read(ask(20))) == [Tally(3), Tally(1)]


def test_an_envoy_that_two_jobs_scrape_counts_once(tsdb: Tsdb, envoy: Envoy) -> None:
    again = Envoy(tsdb, job="pods", counts=envoy.counts)
    played(
        envoy,
        {1: lambda: envoy.answer(B, times=6), **{at: lambda at=at: again.scrape(START + at) for at in range(2, 60, 5)}},
        every(5, -58, 60),
    )
    assert errors(signals(tsdb).read(ask(10))) == [Tally(6, 0)]


def test_a_pod_that_took_over_an_address_counts_for_itself(tsdb: Tsdb) -> None:
    first = Envoy(tsdb, job="old")
    played(first, {1: lambda: first.answer(B, times=6)}, every(5, -58, 8))
    second = Envoy(tsdb, job="new", born=START + 10)
    played(second, {12: lambda: second.answer(B, times=2)}, every(5, 13, 60))
    assert errors(signals(tsdb).read(ask(20))) == [Tally(6, 0), Tally(2, 0)]


def test_a_variant_without_a_request_has_none_and_one_that_is_not_scraped_is_unknown(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {1: lambda: envoy.answer(A)}, every(5, -58, 40))
    assert errors(signals(tsdb).read(ask(20))) == [Tally(0, 0), Tally(0, 0)]
    empty = Tsdb(said={"count(envoy_server_uptime)": {"resultType": "vector", "result": []}})
    seen = signals(empty).read(ask(20))
    assert seen.windows is None
    assert "no sample of an Envoy" in seen.problem
    empty.said["count("] = {"resultType": "vector", "result": [{"metric": {}, "value": [START, "1"]}]}
    del empty.said["count(envoy_server_uptime)"]
    assert errors(signals(empty).read(ask(20))) == [Tally(0, 0), Tally(0, 0)]


def test_a_window_is_told_when_it_does_not_change_any_more(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {1: lambda: envoy.answer(B), 11: lambda: envoy.answer(B)}, every(5, -58, 18))
    reader = signals(tsdb)
    assert errors(reader.read(ask(20))) == [Tally(1)]
    played(envoy, {19: lambda: envoy.answer(B)}, every(5, 22, 38))
    assert errors(reader.read(ask(25))) == [Tally(1), Tally(1)], "seen by the scrape after the edge"
    assert errors(reader.read(ask(30))) == [Tally(1), Tally(1), Tally(1)]


def test_a_window_waits_for_the_scrapes_of_all_replicas(tsdb: Tsdb, envoy: Envoy) -> None:
    other = Envoy(tsdb, "10.0.0.2:19001")
    played(envoy, {2: lambda: envoy.answer(B)}, every(5, -58, 12))
    played(other, {-9: lambda: other.answer(B), 8: lambda: other.answer(B, "5")}, every(5, -56, 4))
    assert errors(signals(tsdb).read(ask(10))) == []
    other.scrape(START + 9)
    assert errors(signals(tsdb).read(ask(10))) == []
    other.scrape(START + 14)
    assert errors(signals(tsdb).read(ask(10))) == [Tally(2, 1)]


def test_windows_that_are_known_are_not_read_again(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {1: lambda: envoy.answer(B)}, every(5, -58, 1200))
    reader = signals(tsdb)
    first = errors(reader.read(ask(1000)))
    tsdb.asked.clear()
    again = errors(reader.read(ask(1010)))
    assert again == [*first, Tally(0, 0)]
    lengths = [asked["query"].split("[")[-1] for _, asked in tsdb.asked]
    assert lengths
    assert set(lengths) == {"130001ms]"}, "a window, with a minute on either side"


def test_hours_are_read_one_by_one_and_one_in_which_nothing_was_scraped_holds_nothing(tsdb: Tsdb, envoy: Envoy) -> None:
    counts = {at: lambda: envoy.answer(B) for at in (7, 3603, 3608, 9000, 10_000)}
    played(envoy, counts, [*every(5, -58, 3700), *every(5, 9007, 11_000)])
    seen = signals(tsdb).read(ask(10_800))
    found = {10 * place: tally for place, tally in enumerate(errors(seen)) if tally not in {None, Tally()}}
    assert found == {0: Tally(1), 3600: Tally(1), 3610: Tally(1), 10_000: Tally(1)}, "what came at 9000 is not known"
    assert len(errors(seen)) == 1080
    lengths = {asked["query"].split("[")[-1] for _, asked in tsdb.asked}
    assert lengths == {"3720001ms]"}, "an hour, with a minute on either side"


def test_a_prometheus_that_is_behind_is_unknown(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {1: lambda: envoy.answer(B)}, every(5, -58, 100))
    for end in (600, 3500):
        seen = signals(tsdb).read(ask(end))
        assert seen.windows is None
        assert f"behind: its newest sample of an Envoy is {end - 97} s too old" in seen.problem
    tsdb.said["count("] = {"resultType": "vector", "result": []}
    reader = signals(tsdb)
    assert "or is behind" in reader.read(ask(7300)).problem
    played(envoy, {}, every(5, 102, 7400))
    assert len(errors(reader.read(ask(7300)))) == 730, "nothing was kept of what was not there"


def test_what_the_gateway_answers_itself_makes_a_window_unknown_and_while_it_lasts_everything(
    tsdb: Tsdb, envoy: Envoy
) -> None:
    played(
        envoy,
        {1: lambda: envoy.answer(B), 4: lambda: envoy.itself("5", 3), 11: lambda: envoy.answer(B, "5", 2)},
        every(5, -58, 90),
    )
    seen = signals(tsdb).read(ask(20))
    assert seen.windows is None
    assert "3 in the last 20 s" in seen.problem
    assert errors(signals(tsdb).read(ask(40))) == [None, Tally(2, 2), Tally(0), Tally(0)]


def test_windows_that_are_unknown_do_not_show_that_the_gateway_answers_no_more(tsdb: Tsdb, envoy: Envoy) -> None:
    """Else a trial whose pods were deleted could time out for want of data, and its release be rejected."""
    times = [at for at in every(5, -58, 90) if not 14 < at < 38]
    played(envoy, {1: lambda: envoy.answer(B), 4: lambda: envoy.itself("5", 3)}, times)
    seen = signals(tsdb).read(ask(40))
    assert "3 in the last 40 s" in seen.problem
    assert seen.unanswered


def test_a_refusal_by_the_gateway_or_a_scrape_between_two_counters_is_no_such_thing(tsdb: Tsdb, envoy: Envoy) -> None:
    named = {"envoy_cluster_name": B, "envoy_response_code_class": "5"}
    both = ("envoy_cluster_upstream_rq_xx", "envoy_cluster_canary_upstream_rq_xx")
    played(
        envoy,
        {
            2: lambda: envoy.itself("4", 50),  # no route: the caller's own mistake
            3: lambda: envoy.itself("5"),  # scraped before its cluster counts it
            9: lambda: [envoy._count(name, 1, **named) for name in both],
        },
        every(5, -58, 60),
    )
    assert errors(signals(tsdb).read(ask(20))) == [Tally(0), Tally(1, 1)]


def test_a_request_that_no_pod_answered_is_no_failure_of_its_version(tsdb: Tsdb, envoy: Envoy) -> None:
    played(
        envoy,
        {1: lambda: envoy.answer(B, "2", 5), 3: lambda: envoy.lose(B, 7), 12: lambda: envoy.answer(B, "5", 2)},
        every(5, -58, 60),
    )
    windows = signals(tsdb).read(ask(20)).windows or ()
    assert [window.challenger["errors"] for window in windows] == [Tally(5, 0), Tally(2, 2)]
    assert [window.challenger[UNANSWERED] for window in windows] == [Tally(12, 7), Tally(2, 0)]
    assert [window.champion[UNANSWERED] for window in windows] == [Tally(0), Tally(0)]


def test_a_quantile_is_the_bound_at_or_above_it_in_microseconds(tsdb: Tsdb) -> None:
    def buckets(**counts: float) -> dict[str, object]:
        found = [{"metric": {"le": le.strip("_")}, "value": [START, str(count)]} for le, count in counts.items()]
        return {"resultType": "vector", "result": found}

    tsdb.said["sum by (le)"] = buckets(**{"5.0": 60, "10": 89, "25": 99.5, "+Inf": 100})
    assert signals(tsdb).quantile("v-a", 0.5, START - 3600, START) == Quantile(5_000, 100)
    assert signals(tsdb).quantile("v-a", 0.9, START - 3600, START) == Quantile(25_000, 100)
    assert signals(tsdb).quantile("v-a", 0.999, START - 3600, START) is None, "it lies beyond all bounds"
    tsdb.said["sum by (le)"] = buckets()
    assert signals(tsdb).quantile("v-a", 0.5, START - 3600, START) is None


def told(tsdb: Tsdb, values: Mapping[tuple[str, str], Mapping[int, float]]) -> None:
    tsdb.said["max by (__name__, variant)"] = {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": f"modelstack_{name}", "variant": variant},
                "values": [[START + at, str(value)] for at, value in points.items()],
            }
            for (name, variant), points in values.items()
        ],
    }


def test_our_own_metrics_rise_from_edge_to_edge(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {1: lambda: envoy.answer(B)}, every(5, -58, 60))
    told(
        tsdb,
        {
            ("log_loss_count", "v-b"): {10: 4, 30: 9},  # at 20 nobody told it
            ("log_loss_sum", "v-b"): {10: 2.5, 20: 2.5, 30: 5},
            ("log_loss_squared_sum", "v-b"): {10: 2, 20: 1.5, 30: 3},  # by a replica that was behind
            ("log_loss_count", "v-a"): {10: 4, 20: 4, 30: 9},  # its sum is not told
            ("invalid_answers_count", "v-b"): {0: 0, 10: 30, 30: 40},
        },
    )
    reader = signals(tsdb, captured=0.1)
    seen = reader.read(ask(30, KNOWN["log_loss"]))
    assert seen.windows is not None
    assert [window.challenger["log_loss"] for window in seen.windows] == [
        Tally(4, 2.5, 2), Tally(0, 0, 0), Tally(5, 2.5, 1)
    ]  # fmt: skip
    assert not any("log_loss" in window.champion for window in seen.windows)
    assert seen.counted == pytest.approx((40 + 3 * 40**0.5) / 0.1)
    query = next(asked["query"] for _, asked in tsdb.asked if asked["query"].startswith("max by"))
    assert 'namespace="models",endpoint="endpoint",rollout="r-1",variant=~"v-a|v-b"' in query


def test_a_metric_of_a_users_own_is_summed_over_all_that_publish_it(tsdb: Tsdb, envoy: Envoy) -> None:
    played(envoy, {1: lambda: envoy.answer(B)}, every(5, -58, 60))
    for instance, values in {"one:80": {3: 4, 8: 6, 13: 1}, "two:80": {4: 10, 9: 10, 14: 12}}.items():
        for at, value in values.items():
            for name, share in (("count", 1), ("sum", 0.5)):
                tsdb.add(
                    f"shop_order_value_{name}", START + at, value * share,
                    endpoint="endpoint", variant="v-b", rollout="r-1", instance=instance,
                )  # fmt: skip
    own = Metric("orders", "rate", 0.1, namespace="shop", metric="OrderValue")
    seen = signals(tsdb).read(ask(20, own))
    assert seen.windows is not None
    assert [window.challenger["orders"] for window in seen.windows] == [Tally(16, 8), Tally(3, 1.5)]
    assert seen.counted is None, "it is made of no captured answers"
