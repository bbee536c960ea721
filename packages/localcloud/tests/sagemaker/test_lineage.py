"""Lineage: artifacts, actions and contexts, what is associated, and what a query finds."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from localcloud.sagemaker.lineage_entities import KINDS

from .conftest import failure, run

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
DATA = {"SourceUri": "s3://data/a.csv", "SourceTypes": [{"SourceIdType": "Custom", "Value": "sha256:1"}]}
NOWHERE = f"{ARN}:artifact/none"


async def artifact(inside: Any, uri: str, type_: str = "DataSet", **more: Any) -> str:
    made = await inside.call("CreateArtifact", ArtifactType=type_, Source={"SourceUri": uri}, **more)
    return made["ArtifactArn"]


async def associate(inside: Any, *arns: str) -> None:
    """A chain: each led to the next."""
    for source, destination in pairwise(arns):
        await inside.call(
            "AddAssociation", SourceArn=source, DestinationArn=destination, AssociationType="ContributedTo"
        )


async def chain(inside: Any) -> dict[str, str]:
    """Two data sets, the training of a model of both, and the endpoint that serves it."""
    found = {name: await artifact(inside, f"s3://b/{name}", Properties={"name": name}) for name in ("one", "two")}
    found["model"] = await artifact(inside, "s3://b/model", "Model")
    job = {"SourceUri": "job"}
    made = await inside.call("CreateAction", ActionName="fit", ActionType="TrainingJob", Source=job, Status="Completed")
    found["fit"] = made["ActionArn"]
    source = {"SourceUri": f"{ARN}:endpoint/e"}
    made = await inside.call("CreateContext", ContextName="e_context", ContextType="Endpoint", Source=source)
    found["endpoint"] = made["ContextArn"]
    await associate(inside, found["one"], found["fit"], found["model"], found["endpoint"])
    await associate(inside, found["two"], found["fit"])
    return found


async def names(inside: Any, found: dict[str, str], start: str, **asked: Any) -> set[str]:
    """What a query finds, by the names of a chain."""
    answer = await inside.call("QueryLineage", StartArns=[found[start]], **asked)
    known = {arn: name for name, arn in found.items()}
    return {known[vertex["Arn"]] for vertex in answer["Vertices"]}


def test_an_artifact_is_what_its_source_is(inside):
    async def scenario():
        async with inside.running():
            made = await inside.call(
                "CreateArtifact",
                ArtifactName="flights",
                ArtifactType="DataSet",
                Source=DATA,
                Properties={"rows": "12"},
                MetadataProperties={"CommitId": "abc"},
                Tags=[{"Key": "team", "Value": "a"}],
            )
            again = await failure(inside.call("CreateArtifact", ArtifactType="Other", Source=DATA))
            assert (again.code, again.message) == (
                "ValidationException",
                f"Artifact already exists: {made['ArtifactArn']}",
            )
            other = {**DATA, "SourceTypes": [{"SourceIdType": "Custom", "Value": "sha256:2"}]}
            second = await inside.call("CreateArtifact", ArtifactName="flights", ArtifactType="DataSet", Source=other)
            assert second != made

            described = await inside.call("DescribeArtifact", **made)
            assert described.pop("CreationTime") == described.pop("LastModifiedTime")
            assert described == {
                **made,
                "ArtifactName": "flights",
                "ArtifactType": "DataSet",
                "Source": DATA,
                "Properties": {"rows": "12"},
                "MetadataProperties": {"CommitId": "abc"},
                "CreatedBy": {},
                "LineageGroupArn": f"{ARN}:lineage-group/sagemaker-default-lineage-group",
            }
            tags = await inside.call("ListTags", ResourceArn=made["ArtifactArn"])
            assert tags["Tags"] == [{"Key": "team", "Value": "a"}]
            await inside.call("DeleteArtifact", Source=DATA)
            gone = await failure(inside.call("DescribeArtifact", **made))
            assert gone.code == "ResourceNotFound"

    run(scenario())


def test_an_update_takes_the_place_of_all_properties(inside):
    async def scenario():
        async with inside.running():
            asked = {"ActionName": "fit", "ActionType": "Training", "Source": {"SourceUri": "job"}}
            await inside.call("CreateAction", **asked, Status="InProgress", Properties={"a": "1", "b": "2"})
            changed = {"Status": "Completed", "Properties": {"b": "3", "c": "4"}, "PropertiesToRemove": ["c", "none"]}
            await inside.call("UpdateAction", ActionName="fit", **changed)
            described = await inside.call("DescribeAction", ActionName=f"{ARN}:action/fit")
            assert (described["Status"], described["Properties"]) == ("Completed", {"b": "3"})
            assert described["LastModifiedTime"] >= described["CreationTime"]
            again = await failure(inside.call("CreateAction", **asked))
            assert again.message == f"Action already exists: {ARN}:action/fit"

    run(scenario())


def test_lists_are_filtered_and_paged_newest_first(inside):
    async def scenario():
        async with inside.running():
            arns: list[str] = []
            for number in range(12):
                arns.append(await artifact(inside, f"s3://b/{number}", "Model" if number else "Image"))
                await asyncio.sleep(0.002)  # times are told in milliseconds, and two of one have no order
            first = await inside.call("ListArtifacts", SortOrder="Ascending")
            assert [one["ArtifactArn"] for one in first["ArtifactSummaries"]] == arns[:10]
            rest = await inside.call("ListArtifacts", SortOrder="Ascending", NextToken=first["NextToken"])
            assert [one["ArtifactArn"] for one in rest["ArtifactSummaries"]] == arns[10:]
            newest = await inside.call("ListArtifacts", ArtifactType="Model", MaxResults=1)
            assert newest["ArtifactSummaries"][0]["ArtifactArn"] == arns[-1]
            (found,) = (await inside.call("ListArtifacts", SourceUri="s3://b/0"))["ArtifactSummaries"]
            assert (found["ArtifactType"], found["Source"]) == ("Image", {"SourceUri": "s3://b/0"})
            assert (await inside.call("ListArtifacts", CreatedBefore=1))["ArtifactSummaries"] == []
            wrong = await failure(inside.call("ListArtifacts", NextToken=first["NextToken"]))
            assert "Invalid pagination token" in wrong.message

    run(scenario())


def test_associations_are_made_once_listed_and_taken_apart(inside):
    async def scenario():
        async with inside.running():
            found = await chain(inside)
            again = await failure(associate(inside, found["one"], found["fit"]))
            assert again.code == "ValidationException"
            assert again.message.startswith("Association already exists")
            missing = await failure(associate(inside, NOWHERE, found["fit"]))
            assert (missing.code, missing.message) == ("ResourceNotFound", f"Lineage entity {NOWHERE} does not exist.")

            listed = await inside.call("ListAssociations", DestinationArn=found["fit"], SortBy="SourceArn")
            sources = [one["SourceArn"] for one in listed["AssociationSummaries"]]
            assert sources == sorted([found["one"], found["two"]], reverse=True)
            (served,) = (await inside.call("ListAssociations", DestinationType="Endpoint"))["AssociationSummaries"]
            assert (served["SourceType"], served["DestinationType"]) == ("Model", "Endpoint")

            kept = await failure(inside.call("DeleteArtifact", ArtifactArn=found["model"]))
            assert kept.message == f"Artifact {found['model']} cannot be deleted because it still has associations."
            ends = {"SourceArn": found["model"], "DestinationArn": found["endpoint"]}
            assert await inside.call("DeleteAssociation", **ends) == ends
            assert (await failure(inside.call("DeleteAssociation", **ends))).code == "ResourceNotFound"
            await inside.call("DeleteContext", ContextName="e_context")

    run(scenario())


@pytest.mark.parametrize(
    ("start", "asked", "expected"),
    [
        ("endpoint", {"Direction": "Ascendants"}, {"endpoint", "model", "fit", "one", "two"}),
        ("endpoint", {"Direction": "Descendants"}, {"endpoint"}),
        ("one", {"Direction": "Descendants"}, {"one", "fit", "model", "endpoint"}),
        ("one", {"Direction": "Both"}, {"one", "two", "fit", "model", "endpoint"}),
        ("one", {}, {"one", "two", "fit", "model", "endpoint"}),
        ("endpoint", {"Direction": "Ascendants", "MaxDepth": 2}, {"endpoint", "model", "fit"}),
        ("endpoint", {"Direction": "Ascendants", "Filters": {"Types": ["DataSet"]}}, {"one", "two"}),
        ("endpoint", {"Filters": {"LineageTypes": ["Action", "Context"]}}, {"fit", "endpoint"}),
        ("endpoint", {"Filters": {"Properties": {"name": "two"}}}, {"two"}),
        ("endpoint", {"Filters": {"CreatedBefore": 1}}, set()),
        ("endpoint", {"Filters": {"ModifiedAfter": 1, "Types": ["Model"]}}, {"model"}),
        (
            "endpoint",
            {"IncludeEdges": True, "Filters": {"Properties": {"name": "two"}}},
            {"endpoint", "model", "fit", "two"},
        ),
    ],
)
def test_a_query_finds_what_led_to_an_entity_and_what_came_of_it(inside, start, asked, expected):
    async def scenario():
        async with inside.running():
            assert await names(inside, await chain(inside), start, **asked) == expected

    run(scenario())


def test_a_query_has_the_edges_on_the_way_and_pages(inside):
    async def scenario():
        async with inside.running():
            found = await chain(inside)
            asked = {"StartArns": [found["endpoint"]], "Direction": "Ascendants", "IncludeEdges": True}
            whole = await inside.call("QueryLineage", **asked)
            assert {(one["SourceArn"], one["DestinationArn"]) for one in whole["Edges"]} == {
                (found["one"], found["fit"]),
                (found["two"], found["fit"]),
                (found["fit"], found["model"]),
                (found["model"], found["endpoint"]),
            }
            assert {one["AssociationType"] for one in whole["Edges"]} == {"ContributedTo"}
            pages, token = [], {}
            while not pages or token:
                pages.append(await inside.call("QueryLineage", **asked, MaxResults=2, **token))
                token = {"NextToken": pages[-1]["NextToken"]} if "NextToken" in pages[-1] else {}
            assert [len(page["Vertices"]) for page in pages] == [2, 2, 1]
            assert [one for page in pages for one in page["Vertices"]] == whole["Vertices"]
            assert sorted(map(str, (one for page in pages for one in page["Edges"]))) == sorted(
                map(str, whole["Edges"])
            )

    run(scenario())


def test_a_circle_ends(inside):
    async def scenario():
        async with inside.running():
            found = await chain(inside)
            await associate(inside, found["endpoint"], found["one"])
            assert await names(inside, found, "model", Direction="Ascendants") == set(found)

    run(scenario())


@pytest.mark.parametrize(
    ("operation", "request_", "code", "message"),
    [
        ("DescribeArtifact", {"ArtifactArn": NOWHERE}, "ResourceNotFound", f"Artifact {NOWHERE} does not exist."),
        ("DescribeContext", {"ContextName": "x"}, "ResourceNotFound", f"Context {ARN}:context/x does not exist."),
        ("DeleteAction", {"ActionName": "x"}, "ResourceNotFound", f"Action {ARN}:action/x does not exist."),
        ("UpdateArtifact", {"ArtifactArn": NOWHERE}, "ResourceNotFound", f"Artifact {NOWHERE} does not exist."),
        ("DeleteArtifact", {}, "ValidationException", "Either ArtifactArn or Source must be specified."),
        ("QueryLineage", {"StartArns": [NOWHERE]}, "ResourceNotFound", f"Lineage entity {NOWHERE} does not exist."),
        ("QueryLineage", {}, "ValidationException", "does not support QueryLineage without one StartArns"),
        ("QueryLineage", {"StartArns": [NOWHERE], "MaxDepth": 11}, "ValidationException", "less than or equal to 10"),
        ("QueryLineage", {"StartArns": [NOWHERE], "MaxDepth": -1}, "ValidationException", "greater than or equal to 0"),
        ("QueryLineage", {"StartArns": [NOWHERE, NOWHERE]}, "ValidationException", "less than or equal to 1"),
        (
            "QueryLineage",
            {"StartArns": [f"{ARN}:endpoint/e"]},
            "ValidationException",
            "Member must satisfy regular expression pattern",
        ),
        (
            "AddAssociation",
            {"SourceArn": NOWHERE, "DestinationArn": NOWHERE, "AssociationType": "Caused"},
            "ValidationException",
            "Member must satisfy enum value set",
        ),
        (
            "CreateArtifact",
            {"ArtifactType": "Model", "Source": {"SourceUri": "u"}, "Properties": {"long": "x" * 2501}},
            "ValidationException",
            "does not support a property of 2501 characters (long)",
        ),
    ],
)
def test_what_is_not_there_or_not_allowed_is_refused(inside, operation, request_, code, message):
    async def scenario():
        async with inside.running():
            refused = await failure(inside.call(operation, **request_))
            assert refused.code == code
            assert message in refused.message

    run(scenario())


def test_an_account_has_at_most_so_many_contexts(inside, monkeypatch):

    async def scenario():
        async with inside.running():
            most = {kind.name: kind.most for kind in KINDS.values()}
            assert most == {"Artifact": 6000, "Action": 3000, "Context": 500}
            asked = {"ContextType": "Endpoint", "Source": {"SourceUri": "u"}}
            for number in range(500):
                inside.service._store._documents.setdefault("context", {})[f"c{number}"] = {}
            refused = await failure(inside.call("CreateContext", ContextName="more", **asked))
            assert refused.code == "ResourceLimitExceeded"

    run(scenario())


def test_lineage_outlives_the_server(inside):
    async def scenario():
        async with inside.running():
            found = await chain(inside)
        async with inside.running():
            assert await names(inside, found, "endpoint", Direction="Ascendants") == set(found)

    run(scenario())
