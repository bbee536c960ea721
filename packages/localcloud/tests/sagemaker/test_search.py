"""Search: which records satisfy an expression, in which order, and which expressions are refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localcloud.sagemaker.search_terms import Searched, satisfies
from localcloud.sagemaker.service_models import service_model

from .conftest import failure, run

RESOURCE = "ExperimentTrialComponent"


def where(name: str, operator: str | None = None, value: str | None = None) -> dict[str, Any]:
    """One filter."""
    return {"Name": name, **({"Operator": operator} if operator else {}), **({"Value": value} if value else {})}


async def three(inside: Any) -> None:
    """Components `one`, `two`, `three` with a rate of 0.1, 0.2 and none; the first two are in trial `t`."""
    await inside.call("CreateExperiment", ExperimentName="e", Tags=[{"Key": "team", "Value": "a"}])
    await inside.call("CreateTrial", TrialName="t", ExperimentName="e")
    for number, name in enumerate(("one", "two", "three"), start=1):
        rate = {"rate": {"NumberValue": number / 10}} if number < 3 else {}
        await inside.call(
            "CreateTrialComponent",
            TrialComponentName=name,
            StartTime=1_700_000_000 + number,
            Status={"PrimaryStatus": "Completed" if number < 3 else "Failed"},
            Parameters={**rate, "SageMaker.InstanceType": {"StringValue": f"ml.m{number}.large"}},
            InputArtifacts={"train": {"Value": f"s3://data/{name}/train.csv"}},
            Tags=[{"Key": "number", "Value": str(number)}],
        )
        if number < 3:
            await inside.call("AssociateTrialComponent", TrialComponentName=name, TrialName="t")


async def found(inside: Any, resource: str = RESOURCE, **asked: Any) -> list[str]:
    """The names of what is found."""
    results = (await inside.call("Search", Resource=resource, **asked))["Results"]
    return [record["TrialComponent"]["TrialComponentName"] for record in results]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Filters": [where("TrialComponentName", "Equals", "two")]}, {"two"}),
        ({"Filters": [where("TrialComponentName", None, "two")]}, {"two"}),
        ({"Filters": [where("TrialComponentName", "In", "one, three")]}, {"one", "three"}),
        ({"Filters": [where("TrialComponentName", "Contains", "t"), where("DisplayName", "Contains", "o")]}, {"two"}),
        ({"Filters": [where("Parents.TrialName", "Equals", "t")]}, {"one", "two"}),
        ({"Filters": [where("Parents.ExperimentName", "NotEquals", "e")]}, {"three"}),
        ({"Filters": [where("Parameters.rate", "GreaterThan", "0.15")]}, {"two"}),
        ({"Filters": [where("Parameters.rate", "LessThanOrEqualTo", "0.1")]}, {"one"}),
        ({"Filters": [where("Parameters.rate.NumberValue", "GreaterThan", "0.15")]}, {"two"}),
        ({"Filters": [where("Parameters.rate", "NotExists")]}, {"three"}),
        ({"Filters": [where("Parameters.rate", "Exists"), where("Tags.number", "Equals", "2")]}, {"two"}),
        ({"Filters": [where("Parameters.SageMaker.InstanceType", "Equals", "ml.m3.large")]}, {"three"}),
        ({"Filters": [where("InputArtifacts.train", "Contains", "data/two")]}, {"two"}),
        (
            {"Filters": [where("InputArtifacts", "Contains", "one"), where("InputArtifacts", "Contains", "csv")]},
            {"one"},
        ),
        ({"Filters": [where("Status.PrimaryStatus", "NotEquals", "Completed")]}, {"three"}),
        ({"Filters": [where("StartTime", "GreaterThanOrEqualTo", "2023-11-14T22:13:22")]}, {"two", "three"}),
        (
            {"Operator": "Or", "Filters": [where("Tags.number", "Equals", "1"), where("Tags.number", "Equals", "3")]},
            {"one", "three"},
        ),
        (
            {
                "Filters": [where("Parents.TrialName", "Equals", "t")],
                "SubExpressions": [
                    {"Operator": "Or", "Filters": [where("Tags.number", None, "2"), where("Tags.number", None, "3")]}
                ],
            },
            {"two"},
        ),
        (
            {
                "NestedFilters": [
                    {
                        "NestedPropertyName": "Parents",
                        "Filters": [where("Parents.TrialName", None, "t"), where("Parents.ExperimentName", None, "e")],
                    }
                ]
            },
            {"one", "two"},
        ),
    ],
)
def test_a_search_finds_what_satisfies_its_expression(inside, expression, expected):
    async def scenario():
        async with inside.running():
            await three(inside)
            assert set(await found(inside, SearchExpression=expression)) == expected

    run(scenario())


def test_one_object_of_a_list_satisfies_all_nested_filters():
    """Two objects that satisfy one each do not."""
    record_shape = service_model("sagemaker", ("Search",)).operation_model("Search").output_shape
    shape = record_shape.members["Results"].member.members["TrainingJob"]
    searched = Searched("TrainingJob", shape)
    channels = [("train", "s3://a/1"), ("test", "s3://b/2")]
    record = {
        "InputDataConfig": [
            {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
            for name, uri in channels
        ],
        "HyperParameters": {"depth": "3", "kind": "tree"},
        "FinalMetricDataList": [{"MetricName": "loss", "Value": 0.5}],
    }

    def of(name: str, bucket: str) -> dict[str, Any]:
        filters = [
            where("InputDataConfig.ChannelName", "Equals", name),
            where("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", bucket),
        ]
        return {"NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]}

    assert satisfies(record, of("train", "/a/"), searched)
    assert not satisfies(record, of("train", "/b/"), searched)
    flat = {"Filters": of("train", "/b/")["NestedFilters"][0]["Filters"]}
    assert satisfies(record, flat, searched), "without nesting any object counts"
    assert satisfies(record, {"Filters": [where("HyperParameters.depth", "LessThan", "10")]}, searched), "as a number"
    assert not satisfies(record, {"Filters": [where("HyperParameters.kind", "LessThan", "10")]}, searched)
    assert satisfies(record, {"Filters": [where("Metrics.loss", "LessThan", "0.6")]}, searched)


def test_results_are_sorted_by_any_property_and_paged(inside):
    async def scenario():
        async with inside.running():
            await three(inside)
            await asyncio.sleep(0.002)  # times are told in milliseconds, and two of one have no order
            await inside.call("UpdateTrialComponent", TrialComponentName="one", DisplayName="changed-last")
            assert (await found(inside))[0] == "one", "the last changed first"
            asked = {"SortBy": "Parameters.rate", "SortOrder": "Ascending"}
            assert await found(inside, **asked) == ["three", "one", "two"], "what has no rate comes first"
            first = await inside.call("Search", Resource=RESOURCE, MaxResults=2, **asked)
            rest = await inside.call("Search", Resource=RESOURCE, NextToken=first["NextToken"], **asked)
            names = [one["TrialComponent"]["TrialComponentName"] for page in (first, rest) for one in page["Results"]]
            assert names == ["three", "one", "two"]
            other = await failure(inside.call("Search", Resource=RESOURCE, NextToken=first["NextToken"]))
            assert "Invalid pagination token" in other.message

    run(scenario())


def test_other_resources_are_found_too(inside):
    async def scenario():
        async with inside.running():
            await three(inside)
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g", Tags=[{"Key": "k", "Value": "v"}])
            await inside.call("CreateModelPackage", ModelPackageGroupName="g", ModelApprovalStatus="Approved")
            (record,) = (await inside.call("Search", Resource="ExperimentTrial"))["Results"]
            inside_of = [one["TrialComponentName"] for one in record["Trial"]["TrialComponentSummaries"]]
            assert sorted(inside_of) == ["one", "two"]
            for resource, expression in (
                ("Experiment", where("Tags.team", "Equals", "a")),
                ("ModelPackageGroup", where("Tags.k", "Exists")),
                ("ModelPackage", where("ModelApprovalStatus", "Equals", "Approved")),
            ):
                asked = {"Resource": resource, "SearchExpression": {"Filters": [expression]}}
                assert len((await inside.call("Search", **asked))["Results"]) == 1, resource
            assert (await inside.call("Search", Resource="Pipeline"))["Results"] == []

    run(scenario())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"SearchExpression": {}}, "at least one subexpression, filter, or nested filter"),
        ({"SearchExpression": {"Filters": [where("Nothing", "Exists")]}}, "TrialComponent has no property Nothing"),
        ({"SearchExpression": {"Filters": [where("Status.None", "Exists")]}}, "has no property None"),
        ({"SortBy": "Nothing"}, "TrialComponent has no property Nothing"),
        ({"SearchExpression": {"Filters": [where("DisplayName", "LessThan", "1")]}}, "not supported for DisplayName"),
        ({"SearchExpression": {"Filters": [where("StartTime", "Contains", "1")]}}, "only supported for text"),
        ({"SearchExpression": {"Filters": [where("StartTime", "LessThan", "soon")]}}, "is soon, which is no time"),
        ({"SearchExpression": {"Filters": [where("DisplayName", "Exists", "1")]}}, "has a Value"),
        ({"SearchExpression": {"Filters": [where("DisplayName", "Equals")]}}, "has no Value"),
        (
            {"SearchExpression": {"Filters": [where("Source.SourceArn", "Contains", one) for one in "ab"]}},
            "'CONTAINS' operator usage limit of 1 exceeded.",
        ),
        (
            {"SearchExpression": {"SubExpressions": [{"Filters": [where("DisplayName", "Exists")] * 17}] * 3}},
            "can have 50 filters",
        ),
        (
            {
                "SearchExpression": {
                    "NestedFilters": [{"NestedPropertyName": "Parents", "Filters": [where("TrialName", None, "t")]}]
                }
            },
            "The filter of TrialName is not one of Parents",
        ),
        *(
            (
                {
                    "SearchExpression": {
                        "NestedFilters": [{"NestedPropertyName": name, "Filters": [where(f"{name}.Value", None, "1")]}]
                    }
                },
                f"{name} of TrialComponent is no list of objects",
            )
            for name in ("Parameters.rate", "DisplayName", "Nothing")
        ),
        ({"Resource": "FeatureGroup"}, "does not support in Search: Resource = FeatureGroup"),
        ({"CrossAccountFilterOption": "CrossAccount"}, "CrossAccountFilterOption = CrossAccount"),
    ],
)
def test_an_expression_that_means_nothing_is_refused(inside, asked, message):
    async def scenario():
        async with inside.running():
            refused = await failure(inside.call("Search", **{"Resource": RESOURCE, **asked}))
            assert refused.code == "ValidationException"
            assert message in refused.message

    run(scenario())
