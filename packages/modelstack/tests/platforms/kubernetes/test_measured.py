from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.measured import add, counter, gauge, tell, text
from modelstack.rollout.core.errors import Unreachable


def samples(store: Database, *endpoints: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text(store, "models", endpoints))
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


@pytest.mark.parametrize(
    ("name", "part", "told"),
    [
        ("LogLoss", "squared_sum", "modelstack_log_loss_squared_sum"),
        ("LogLossSquared", "sum", "modelstack_log_loss_squared_sum"),
        ("RealisedAUCLow", "x", "modelstack_realised_auc_low_x"),
        ("CaptureRows", "total", "modelstack_capture_rows_total"),
    ],
)
def test_a_series_is_named_after_its_metric(name: str, part: str, told: str) -> None:
    assert counter(name, part)[0] == told


def test_a_label_without_a_value_is_left_out() -> None:
    assert counter("Accuracy", "sum", variant="v-a", rollout="")[1] == '{"variant": "v-a"}'


@pytest.mark.needs("postgresql")
class TestOnPostgres:
    def test_counters_grow_and_levels_are_replaced(self, store: Database, endpoint: str) -> None:
        rows, evidence = counter("CaptureRows", variant="v-a"), gauge("DriftEvidence", variant="v-a")
        for number in (3, 4):
            store.together("add", lambda run, n=number: add(run, endpoint, {rows: n}))
            store.together("tell", lambda run, n=number: tell(run, endpoint, {evidence: n}, 60))
        of = (("endpoint", endpoint), ("namespace", "models"), ("variant", "v-a"))
        assert samples(store, endpoint) == {
            ("modelstack_capture_rows_total", of): 7,
            ("modelstack_drift_evidence", of): 4,
        }
        assert "# TYPE modelstack_capture_rows_total counter\n" in text(store, "models", [endpoint])

    @pytest.mark.parametrize("value", ['a "quoted" \\ one', "two\nlines", "nul \x00", "alone \ud800", "ÄÖ 北京"])
    def test_any_value_of_a_label_is_told(self, store: Database, endpoint: str, value: str) -> None:
        store.together("add", lambda run: add(run, endpoint, {counter("NewCodes", feature=value): 1}))
        ((name, labels),) = samples(store, endpoint)
        assert (name, dict(labels)["feature"]) == ("modelstack_new_codes_total", value.replace("\ud800", "?"))

    @pytest.mark.parametrize("value", [math.inf, 0.1 + 0.2, 1e300, 2.0**60])
    def test_any_number_is_told(self, store: Database, endpoint: str, value: float) -> None:
        store.together("tell", lambda run: tell(run, endpoint, {gauge("DriftEvidence"): value}, 60))
        assert [*samples(store, endpoint).values()] == [value]

    def test_only_what_was_asked_for_is_told(self, store: Database, endpoint: str) -> None:
        for name in (endpoint, f"{endpoint}-2"):
            store.together("add", lambda run, of=name: add(run, of, {counter("CaptureRows"): 1}))
        assert len(samples(store, endpoint)) == 1
        assert len(samples(store, endpoint, f"{endpoint}-2")) == 2
        assert text(store, "models", []) == ""

    def test_many_that_count_at_once_neither_lose_a_count_nor_wait_for_each_other(
        self, store: Database, endpoint: str
    ) -> None:
        series = [counter("CaptureRows", variant=f"v-{n}") for n in range(10)]

        def count(turn: int) -> None:
            for _ in range(10):
                mixed = dict.fromkeys(series[turn:] + series[:turn], 1.0)
                store.together("add", lambda run, of=mixed: add(run, endpoint, of))

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(count, range(5)))
        assert {*samples(store, endpoint).values()} == {50.0}

    def test_a_count_is_never_taken_off(self, store: Database, endpoint: str) -> None:
        with pytest.raises(Exception, match="counters_value_check"):
            store.together("add", lambda run: add(run, endpoint, {counter("CaptureRows"): -1}))


def test_without_the_database_the_metrics_are_unreachable_and_not_a_part_of_them() -> None:
    nowhere = Database.of("postgresql://me@127.0.0.1:1/x?sslmode=disable")
    with pytest.raises(Unreachable):
        text(nowhere, "models", ["e"])
