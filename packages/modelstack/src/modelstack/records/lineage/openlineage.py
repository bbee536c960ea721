"""A lineage as run events of OpenLineage 2-0-2: each training, promotion and rollout is a run.

A run's id derives from its node, so sending the same lineage again gives the same runs. Without a recorded start, a run
starts when it ends. Source: openlineage.io/spec/2-0-2/OpenLineage.json and its facets.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from modelstack.records.lineage.graph import Graph, Node, Verb

SPEC = "https://openlineage.io/spec"
SCHEMA = f"{SPEC}/2-0-2/OpenLineage.json"
NAMESPACE = "modelstack"
_ENDS = {"promoted": "COMPLETE", "rolled_back": "FAIL", "failed": "FAIL", "withdrawn": "ABORT", "superseded": "ABORT"}

Event = dict[str, Any]


def events(graph: Graph) -> list[Event]:
    """All runs of a lineage as plain JSON values, a start and an end each, oldest first."""
    made = [*_training(graph), *_promotions(graph), *_rollouts(graph)]
    return sorted(made, key=lambda event: datetime.fromisoformat(event["eventTime"]))


def _training(graph: Graph) -> Iterator[Event]:
    for node in graph.of("training"):
        recipe = next(iter(graph.sources(node, Verb.TRAINED)), None)
        if recipe is None or not node.at:
            continue
        used = graph.sources(recipe, Verb.USED)
        parameters = next((dict(one.facts) for one in used if one.kind == "parameters"), {})
        began = next((edge.at for edge in graph.into(node, Verb.BEGAN)), node.at)
        registered = [graph.node(edge.target) for edge in graph.out_of(graph.node(graph.package), Verb.REGISTERED)]
        yield from _run(
            node.id,
            _job(_model(graph), "train", "TRAINING", next((one for one in used if one.kind == "commit"), None)),
            (began, node.at, "COMPLETE"),
            {"modelstack_recipe": _facet("RunFacet", **recipe.facts, parameters=parameters), **_people(graph, node)},
            inputs=[_data(one) for one in used if one.kind == "data"],
            outputs=[_package(graph, version) for version in registered] or [_package(graph)],
        )


def _promotions(graph: Graph) -> Iterator[Event]:
    for version in graph.of("version"):
        for source in graph.sources(version, Verb.PROMOTED):
            yield from _run(
                f"promotion:{version.id}",
                _job(_group_of(version), "promote", "PROMOTION"),
                (version.at, version.at, "COMPLETE"),
                _people(graph, version),
                inputs=[_package(graph, source)],
                outputs=[_package(graph, version)],
            )


def _rollouts(graph: Graph) -> Iterator[Event]:
    for rollout in graph.of("rollout"):
        version = next(iter(graph.sources(rollout, Verb.RELEASED)), None)
        spans = [(edge, graph.node(edge.target)) for edge in graph.out_of(rollout)]
        served = [
            {"endpoint": endpoint.label, "kind": edge.kind, "at": edge.at, "until": edge.until}
            for edge, endpoint in spans
        ]
        verdicts: list[Mapping[str, Any]] = rollout.facts["verdicts"]
        ended, outcome = (str(verdicts[0]["at"]), str(verdicts[0]["outcome"])) if verdicts else ("", "")
        yield from _run(
            rollout.id,
            _job(rollout.id.partition(":")[2].partition("/")[0], "rollout", "ROLLOUT"),
            (rollout.at, ended, _ENDS.get(outcome, "OTHER")),
            {
                "modelstack_rollout": _facet("RunFacet", verdicts=list(verdicts), served=served),
                **_people(graph, rollout),
            },
            inputs=[_package(graph, version)],
            outputs=[_served(graph, one, version) for one in {one.id: one for _, one in spans}.values()],
        )


def _run(
    name: str,
    job: Event,
    times: tuple[str, str, str],
    facets: Mapping[str, Any],
    *,
    inputs: Sequence[Event],
    outputs: Sequence[Event],
) -> Iterator[Event]:
    """The start and the end of a run named `name`, at `times` (start, end, kind of end); a running one has no end."""
    began, ended, kind = times
    for at, what in ((began, "START"), (ended, kind)):
        if at:
            yield {
                "eventType": what,
                "eventTime": at,
                "producer": _producer(),
                "schemaURL": f"{SCHEMA}#/$defs/RunEvent",
                "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "facets": dict(facets)},
                "job": job,
                "inputs": list(inputs),
                "outputs": list(outputs),
            }


def _job(group: str, name: str, kind: str, commit: Node | None = None) -> Event:
    facets = {
        "jobType": _known("2-0-4/JobTypeJobFacet", processingType="BATCH", integration="MODELSTACK", jobType=kind)
    }
    if commit is not None and commit.facts.get("remote") and commit.facts.get("commit"):
        place = {"type": "git", "url": commit.facts["remote"], "version": commit.facts["commit"]}
        facets["sourceCodeLocation"] = _known("1-1-0/SourceCodeLocationJobFacet", **place)
    return {"namespace": NAMESPACE, "name": f"{group}.{name}" if group else name, "facets": facets}


def _people(graph: Graph, node: Node) -> Event:
    people = [
        {"who": actor.facts["who"], "did": edge.kind, "at": edge.at, "why": edge.why}
        for edge, actor in graph.deeds(node)
    ]
    return {"modelstack_people": _facet("RunFacet", people=people)} if people else {}


def _data(node: Node) -> Event:
    source, sha256 = str(node.facts.get("source") or ""), str(node.facts["sha256"])
    namespace = source.partition("@")[0] if source.startswith("pkg:") else "file"
    name = source if source and not source.startswith("pkg:") else node.label
    return _dataset(namespace, name, sha256)


def _package(graph: Graph, version: Node | None = None) -> Event:
    """The archive of a version, or the package by its digest if no archive is known."""
    place = urlsplit(str(version.facts.get("archive", "") if version else ""))
    if place.scheme != "s3":
        return _dataset(NAMESPACE, graph.package, graph.package)
    return _dataset(f"s3://{place.netloc}", place.path.lstrip("/"), graph.package)


def _served(graph: Graph, endpoint: Node, version: Node | None) -> Event:
    place = version.id.rpartition(":")[0] if version is not None and version.kind == "version" else NAMESPACE
    return _dataset(place, endpoint.label.replace(" ", "/"), graph.package)


def _dataset(namespace: str, name: str, version: str) -> Event:
    facets = {"version": _known("1-0-1/DatasetVersionDatasetFacet", datasetVersion=version)}
    return {"namespace": namespace, "name": name, "facets": facets}


def _model(graph: Graph) -> str:
    """The model's name without the stack's, so that its training is one job on every stack."""
    read = (node for node in graph.of("version") if node.facts.get("stack"))
    return next((_group_of(node).removesuffix(f"-{node.facts['stack']}") for node in read), "")


def _group_of(version: Node) -> str:
    return version.label.partition(" version ")[0]


def _known(name: str, **fields: Any) -> Event:
    """A facet of the specification."""
    version, _, facet = name.partition("/")
    pointer = f"{facet}.json#/$defs/{facet}"
    return {"_producer": _producer(), "_schemaURL": f"{SPEC}/facets/{version}/{pointer}", **fields}


def _facet(kind: str, **fields: Any) -> Event:
    """A custom facet."""
    return {"_producer": _producer(), "_schemaURL": f"{SCHEMA}#/$defs/{kind}", **fields}


def _producer() -> str:
    return f"urn:modelstack:lineage:{metadata.version('pulumi-modelstack')}"
