"""Metric data: put, kept apart by dimensions, read, aged out, and durable."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

HOUR = 3600


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def stat(query_id: str, statistic: str, period: int = 60, name: str = "errors", **dimensions: str) -> dict[str, Any]:
    pairs = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": "test", "MetricName": name, "Dimensions": pairs}
    return {"Id": query_id, "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}}


async def data(local, *queries: dict[str, Any], ago: float = 600, until: float = 60, **more: Any) -> dict[str, Any]:
    now = local.clock.now
    window = {"StartTime": at(now - ago), "EndTime": at(now + until), "ScanBy": "TimestampAscending"}
    return await local("GetMetricData", MetricDataQueries=list(queries), **{**window, **more})


async def values(local, *queries: dict[str, Any], **window: Any) -> list[list[float]]:
    return [result["Values"] for result in (await data(local, *queries, **window))["MetricDataResults"]]


def test_a_metric_with_other_dimensions_is_another_metric(tell):
    async def story(local):
        local.put(1)
        local.put(10, Variant="a")
        local.put(100, Variant="b")
        local.put(1000, Variant="a", Endpoint="e")
        queries = [
            stat("none", "Sum"),
            stat("a", "Sum", Variant="a"),
            stat("b", "Sum", Variant="b"),
            stat("both", "Sum", Endpoint="e", Variant="a"),
            stat("other", "Sum", Variant="c"),
        ]
        assert await values(local, *queries) == [[1], [10], [100], [1000], []]

    tell(story)


def test_list_metrics_filters_by_namespace_name_and_dimensions(tell):
    async def story(local):
        local.put(1, "a", Variant="x", Endpoint="e")
        local.put(1, "a", Variant="y", Endpoint="e")
        local.put(1, "b")

        async def listed(**filters: Any) -> list[tuple[str, dict[str, str]]]:
            found = (await local("ListMetrics", **filters))["Metrics"]
            return [
                (metric["MetricName"], {pair["Name"]: pair["Value"] for pair in metric["Dimensions"]})
                for metric in found
            ]

        x, y = {"Endpoint": "e", "Variant": "x"}, {"Endpoint": "e", "Variant": "y"}
        assert await listed() == [("a", x), ("a", y), ("b", {})]
        assert await listed(MetricName="b") == [("b", {})]
        assert await listed(Namespace="other") == []
        assert await listed(Dimensions=[{"Name": "Variant"}]) == [("a", x), ("a", y)]
        assert await listed(Dimensions=[{"Name": "Variant", "Value": "y"}, {"Name": "Endpoint"}]) == [("a", y)]
        local.clock.now += 4 * HOUR
        assert await listed(RecentlyActive="PT3H") == []
        local.clock.now += 15 * 24 * HOUR
        assert await listed() == []

    tell(story)


def test_list_metrics_goes_on_where_the_page_ended(tell):
    async def story(local):
        for number in range(1200):
            local.put(1, f"m{number:04}")
        names: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = await local("ListMetrics", **more)
            names += [metric["MetricName"] for metric in answer["Metrics"]]
            if "NextToken" not in answer:
                break
            more = {"NextToken": answer["NextToken"]}
        assert names == [f"m{number:04}" for number in range(1200)]
        with pytest.raises(ClientError, match="InvalidNextToken"):
            await local("ListMetrics", Namespace="test", **more)

    tell(story)


def test_percentiles_come_from_the_values_of_the_whole_period(tell):
    async def story(local):
        for value in range(1, 61):
            local.put(value, ago=value % 30)
        read = await values(local, stat("p", "p90", 120), stat("t", "tm50", 120), ago=60, until=0.001)
        assert read == [[54], [15.5]]

    tell(story)


def test_values_with_counts_give_percentiles_and_statistic_sets_do_not(tell):
    async def story(local):
        await local(
            "PutMetricData",
            Namespace="test",
            MetricData=[{"MetricName": "errors", "Values": [1.0, 50.0], "Counts": [95.0, 5.0]}],
        )
        assert await values(local, stat("a", "p95"), stat("b", "p99"), stat("c", "SampleCount")) == [[1], [50], [100]]
        sets = {"SampleCount": 10.0, "Sum": 20.0, "Minimum": 1.0, "Maximum": 5.0}
        await local("PutMetricData", Namespace="test", MetricData=[{"MetricName": "errors", "StatisticValues": sets}])
        assert await values(local, stat("a", "p95"), stat("b", "Average")) == [[], [(95 + 250 + 20) / 110]]

    tell(story)


def test_standard_resolution_data_count_at_the_start_of_their_minute(tell):
    async def story(local):
        local.clock.now += 35
        datum = {"MetricName": "errors", "Value": 1.0}
        await local("PutMetricData", Namespace="test", MetricData=[datum, {**datum, "StorageResolution": 1}])
        answer = await data(local, stat("m", "Sum", 10), ago=60, until=20)
        (result,) = answer["MetricDataResults"]
        minute = local.clock.now - 35
        assert [moment.timestamp() for moment in result["Timestamps"]] == [minute, minute + 30]

    tell(story)


def test_units_are_kept_apart_and_read_together_unless_one_is_asked_for(tell):
    async def story(local):
        local.put(1, unit="Seconds")
        local.put(10, unit="Milliseconds")
        query = stat("m", "Sum")
        query["MetricStat"]["Unit"] = "Seconds"
        assert await values(local, query, {**stat("all", "Sum")}) == [[1], [11]]
        answer = await local(
            "GetMetricStatistics",
            Namespace="test",
            MetricName="errors",
            StartTime=at(local.clock.now - 60),
            EndTime=at(local.clock.now + 60),
            Period=60,
            Statistics=["Sum"],
            ExtendedStatistics=["p50"],
        )
        found = {point["Unit"]: (point["Sum"], point["ExtendedStatistics"]) for point in answer["Datapoints"]}
        assert found == {"Seconds": (1, {"p50": 1}), "Milliseconds": (10, {"p50": 10})}

    tell(story)


def test_metric_math_joins_metrics_of_one_request(tell):
    async def story(local):
        local.put(5, "errors")
        local.put(20, "requests")
        answer = await data(
            local,
            {**stat("e", "Sum"), "ReturnData": False},
            {**stat("r", "Sum", name="requests"), "ReturnData": False},
            {"Id": "rate", "Expression": "half * 2", "Label": "error rate"},
            {"Id": "half", "Expression": "e / r / 2", "ReturnData": False},
            {"Id": "all", "Expression": "METRICS()"},
        )
        found = [(one["Id"], one["Label"], one["Values"]) for one in answer["MetricDataResults"]]
        assert found == [
            ("rate", "error rate", [0.25]), ("all", "all errors", [5]), ("all", "all requests", [20])
        ]  # fmt: skip

    tell(story)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([{"Id": "M", "Expression": "1"}], "does not start with a lower-case letter"),
        ([{"Id": "a", "Expression": "TIME_SERIES(1)"}] * 2, "used by more than one query"),
        ([{"Id": "a"}], "either MetricStat or Expression"),
        ([{"Id": "a", "Expression": "b + 1"}], "refers to 'b'"),
        ([{"Id": "a", "Expression": "1 +"}], "cannot be read"),
        ([{"Id": "a", "Expression": "1 + 1"}], "a time series is expected"),
        ([{"Id": "a", "Expression": "b"}, {"Id": "b", "Expression": "a"}], "refers to itself"),
        ([{"Id": "a", "Expression": "SEARCH('x', Sum)"}], "SEARCH takes a search in quotes, a statistic in quotes"),
        ([{"Id": "a", "Expression": "SEARCH('x', 'sum')"}], "SEARCH: there is no statistic 'sum'"),
        ([{"Id": "a", "Expression": "SEARCH('x', 'Sum', 45)"}], "the period 45 is not 1, 5, 10, 20, 30 or a multiple"),
        ([{"Id": "a", "Expression": "SEARCH('(x', 'Sum', 60)"}], "SEARCH: a term is missing"),
        ([{"Id": "a", "Expression": "SEARCH('x ]', 'Sum', 60)"}], "unexpected '\\]'"),
        ([stat("a", "p200")], "percentage must be over 0"),
        ([stat("a", "sum")], "there is no statistic 'sum'"),
        ([stat("a", "Sum", 45)], "is not 1, 5, 10, 20, 30 or a multiple of 60"),
    ],
)
def test_a_wrong_query_is_refused_with_its_reason(tell, queries, message):
    async def story(local):
        with pytest.raises(ClientError, match=message):
            await data(local, *queries)

    tell(story)


def test_results_longer_than_a_page_come_in_pages(tell):
    async def story(local):
        for minute in range(10):
            local.put(minute, "a", ago=60 * minute)
            local.put(100 + minute, "b", ago=60 * minute)
        seen: dict[str, list[float]] = {"a": [], "b": []}
        pages, more = 0, {}
        while True:
            answer = await data(local, stat("a", "Sum", name="a"), stat("b", "Sum", name="b"), MaxDatapoints=7, **more)
            pages += 1
            for result in answer["MetricDataResults"]:
                seen[result["Id"]] += result["Values"]
            if "NextToken" not in answer:
                break
            assert answer["MetricDataResults"][-1]["StatusCode"] in ("PartialData", "Complete")
            more = {"NextToken": answer["NextToken"]}
        assert pages == 3
        assert seen == {"a": [*range(9, -1, -1)], "b": [*range(109, 99, -1)]}

    tell(story)


def test_periods_start_at_the_start_time_rounded_down_to_a_minute(tell):
    async def story(local):
        local.put(1, ago=130)
        answer = await data(local, stat("m", "Sum", 300), ago=190, until=60)
        (result,) = answer["MetricDataResults"]
        assert [moment.timestamp() for moment in result["Timestamps"]] == [local.clock.now - 240]

    tell(story)


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"Counts": [1.0], "Value": 1.0}, "InvalidParameterCombination"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue"),
        ({"Values": []}, "InvalidParameterValue"),
        ({"Values": [1.0] * 151}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [0.0]}, "InvalidParameterValue"),
        ({"Value": 2.0**361}, "InvalidParameterValue"),
        ({"Value": 1.0, "StorageResolution": 30}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": at(1_764_000_000 - 15 * 86400)}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": at(1_764_000_000 + 3 * 3600)}, "InvalidParameterValue"),
        ({"Value": 1.0, "Unit": "Parsecs"}, "ValidationError"),
        ({"Value": float("nan")}, "ValidationError"),
        ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]}, "ValidationError"),
        (
            {"StatisticValues": {"SampleCount": 0.0, "Sum": 0.0, "Minimum": 0.0, "Maximum": 0.0}},
            "InvalidParameterValue",
        ),
        (
            {"StatisticValues": {"SampleCount": 1.0, "Sum": 0.0, "Minimum": 2.0, "Maximum": 1.0}},
            "InvalidParameterValue",
        ),
    ],
)
def test_a_wrong_datum_is_refused_and_nothing_of_its_request_is_kept(tell, datum, code):
    async def story(local):
        fine = {"MetricName": "errors", "Value": 1.0}
        with pytest.raises(ClientError, match=code):
            await local("PutMetricData", Namespace="test", MetricData=[fine, {"MetricName": "errors", **datum}])
        assert (await local("ListMetrics"))["Metrics"] == []

    tell(story)


def test_namespaces_of_aws_are_not_for_clients(tell):
    async def story(local):
        with pytest.raises(ClientError, match="AWS/ for parameter Namespace is invalid"):
            await local("PutMetricData", Namespace="AWS/SageMaker", MetricData=[{"MetricName": "m", "Value": 1.0}])

    tell(story)


def test_more_than_1440_datapoints_are_refused_by_get_metric_statistics(tell):
    async def story(local):
        with pytest.raises(ClientError, match="exceeds the limit of 1440"):
            await local(
                "GetMetricStatistics",
                Namespace="test",
                MetricName="m",
                StartTime=at(local.clock.now - 1441 * 60),
                EndTime=at(local.clock.now),
                Period=60,
                Statistics=["Sum"],
            )

    tell(story)


def test_data_of_a_second_age_out_after_three_hours_and_of_a_minute_after_fifteen_days(tell):
    async def story(local):
        local.put(1)
        await local.service._store.commit()
        assert await values(local, stat("s", "Sum", 10), stat("m", "Sum")) == [[1], [1]]
        local.clock.now += 3 * HOUR + 60
        assert await values(local, stat("s", "Sum", 10), stat("m", "Sum"), ago=4 * HOUR) == [[], [1]]
        local.clock.now += 15 * 24 * HOUR
        assert await values(local, stat("m", "Sum", HOUR), ago=16 * 24 * HOUR) == [[]]
        local.put(1, "another")
        await local.service._store.commit()
        rows = local.service._database.lookup("select count(*), max(series) from bucket", ())
        assert rows == (2, 2)

    tell(story)


def test_late_data_join_a_period_that_left_the_memory(tell):
    async def story(local):
        for value in range(100):
            local.put(value)
        await local.service._store.commit()
        local.clock.now += 600
        local.put(1, "other")
        await local.service._store.commit()
        assert local.service._store.warm_buckets() == 2
        local.put(1000, ago=600)
        assert await values(local, stat("n", "SampleCount"), stat("max", "Maximum"), ago=660) == [[101], [1000]]

    tell(story)


def test_memory_holds_only_what_is_being_filled(tell):
    async def story(local):
        store = local.service._store
        for _ in range(300):
            local.clock.now += 1
            for value in range(50):
                local.put(value)
            await store.commit()
        assert store.warm_buckets() < 50
        (counts,) = await values(local, stat("n", "SampleCount"), ago=300)
        assert sum(counts) == 15_000

    tell(story)


def test_acknowledged_data_are_there_after_a_restart(start):
    async def main():
        async with start() as local:
            await local("PutMetricData", Namespace="test", MetricData=[{"MetricName": "errors", "Value": 3.0}])
            local.put(4, "in process")
            clock = local.clock
        async with start(clock) as local:
            assert await values(local, stat("a", "Sum"), stat("b", "Sum", name="in process")) == [[3], [4]]
            local.put(5)
            assert await values(local, stat("a", "Sum"), stat("p", "p100")) == [[8], [5]]

    asyncio.run(main())


def test_data_that_could_not_be_saved_are_saved_later(start):
    async def main():
        async with start() as local:
            connection = local.service._database._write_connection
            connection.execute("pragma query_only = on")
            status, *_ = await local.ask(
                "PutMetricData", Namespace="test", MetricData=[{"MetricName": "errors", "Value": 3.0}]
            )
            assert status == 500
            connection.execute("pragma query_only = off")
            clock = local.clock
        async with start(clock) as local:
            assert await values(local, stat("a", "Sum")) == [[3]]

    asyncio.run(main())
