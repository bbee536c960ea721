"""A lineage as run events of OpenLineage 2-0-2: the training, each promotion and each rollout is a run.

    events(graph)                        # plain JSON values, oldest first
    send(events(graph), "http://127.0.0.1:5000/api/v1/lineage")

The ids of runs are made of what they are of, so the same lineage sent again is the same runs. Where no begin is
recorded, a run begins when it ends.

Source: OpenLineage.json of specification 2-0-2 (openlineage.io/spec/2-0-2/OpenLineage.json), and its facets.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.errors import OperatorError
from cli.lineage.graph import WHO, Graph, Node

SPEC = "https://openlineage.io/spec"
SCHEMA = f"{SPEC}/2-0-2/OpenLineage.json"
NAMESPACE = "modelstack"
KEY = "OPENLINEAGE_API_KEY"
"""The variable of OpenLineage's own clients that holds the key of a service."""
_ENDS = {"promoted": "COMPLETE", "rolled_back": "FAIL", "failed": "FAIL", "withdrawn": "ABORT", "superseded": "ABORT"}
_SECONDS = 30

Event = dict[str, Any]


def events(graph: Graph) -> list[Event]:
    """All runs that led to a package and came of it, a begin and an end each, oldest first."""
    made = [*_training(graph), *_promotions(graph), *_rollouts(graph)]
    return sorted(made, key=lambda event: datetime.fromisoformat(event["eventTime"]))


def send(told: Sequence[Event], to: str) -> str:
    """Write events to a file, one a line, or send each to a URL; returns what was done, in a sentence.

    Args:
        told: The events.
        to: A path, or the URL that takes events, such as `http://127.0.0.1:5000/api/v1/lineage`.

    Raises:
        OperatorError: The file cannot be written, or the service does not take an event.
    """
    if urlsplit(to).scheme not in {"http", "https"}:
        try:
            Path(to).write_text("".join(f"{json.dumps(event)}\n" for event in told))
        except OSError as error:
            raise OperatorError(f"--openlineage {to}: {error.strerror}") from error
        return f"{len(told)} events are in {to}"
    for event in told:
        _post(event, to)
    return f"{len(told)} events were sent to {to}"


def _post(event: Event, url: str) -> None:
    key = os.environ.get(KEY)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    asked = urllib.request.Request(url, json.dumps(event).encode(), headers, method="POST")  # noqa: S310 - see send
    try:
        with urllib.request.urlopen(asked, timeout=_SECONDS):  # noqa: S310
            pass
    except (OSError, ValueError) as error:
        raise OperatorError(f"--openlineage {url}: {error}") from error


def _training(graph: Graph) -> Iterator[Event]:
    for node in graph.of("training"):
        recipe = next((graph.node(edge.source) for edge in graph.into(node) if edge.kind == "trained"), None)
        if recipe is None or not node.at:
            continue
        used = [graph.node(edge.source) for edge in graph.into(recipe) if edge.kind == "used"]
        parameters = next((dict(one.facts) for one in used if one.kind == "parameters"), {})
        began = next((edge.at for edge in graph.into(node) if edge.kind == "began"), node.at)
        told = {"modelstack_recipe": _facet("RunFacet", **recipe.facts, parameters=parameters)}
        yield from _run(
            node.id,
            _job(_model(graph), "train", "TRAINING", next((one for one in used if one.kind == "commit"), None)),
            (began, node.at, "COMPLETE"),
            {**told, **_people(graph, node)},
            inputs=[_data(one) for one in used if one.kind == "data"],
            outputs=[_package(graph, version) for version in _first(graph)] or [_bare(graph)],
        )


def _promotions(graph: Graph) -> Iterator[Event]:
    for version in graph.of("version"):
        source = next(
            (
                graph.node(edge.source)
                for edge in graph.into(version)
                if edge.kind == "promoted" and graph.node(edge.source).kind not in WHO
            ),
            None,
        )
        if source is not None:
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
        version = next((graph.node(edge.source) for edge in graph.into(rollout) if edge.kind == "released"), None)
        endpoints = {edge.target: edge for edge in graph.out_of(rollout) if graph.node(edge.target).kind == "endpoint"}
        served = [
            {"endpoint": graph.node(edge.target).label, "kind": edge.kind, "at": edge.at, "until": edge.until}
            for edge in graph.out_of(rollout)
        ]
        verdicts: list[Mapping[str, Any]] = rollout.facts["verdicts"]
        first = verdicts[0] if verdicts else None
        yield from _run(
            rollout.id,
            _job(str(rollout.id).partition(":")[2].partition("/")[0], "rollout", "ROLLOUT"),
            (rollout.at, str(first["at"]), _ENDS.get(str(first["outcome"]), "OTHER"))
            if first
            else (rollout.at, "", ""),
            {
                "modelstack_rollout": _facet("RunFacet", verdicts=list(verdicts), served=served),
                **_people(graph, rollout),
            },
            inputs=[_package(graph, version)] if version is not None else [_bare(graph)],
            outputs=[_served(graph, graph.node(one), version) for one in endpoints],
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
    """The begin and the end of a run; one that goes on has no end.

    Args:
        name: Tells it from all others.
        job: What was run.
        times: When it began, when it ended, and as what.
        facets: Of the run.
        inputs: What it read.
        outputs: What came of it.
    """
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
    """Who did something to a node, as a facet."""
    did = [
        {"who": graph.node(edge.source).facts["who"], "did": edge.kind, "at": edge.at, "why": edge.why}
        for edge in graph.into(node)
        if graph.node(edge.source).kind in WHO
    ]
    return {"modelstack_people": _facet("RunFacet", people=did)} if did else {}


def _data(node: Node) -> Event:
    source, sha256 = str(node.facts.get("source") or ""), str(node.facts["sha256"])
    namespace = source.partition("@")[0] if source.startswith("pkg:") else "file"
    name = source if source and not source.startswith("pkg:") else node.label
    return _dataset(namespace, name, sha256)


def _package(graph: Graph, version: Node) -> Event:
    """The archive that a version has; by its digest where nobody says where that lies."""
    place = urlsplit(str(version.facts.get("archive", "")))
    if place.scheme != "s3":
        return _bare(graph)
    return _dataset(f"s3://{place.netloc}", place.path.lstrip("/"), graph.package)


def _bare(graph: Graph) -> Event:
    return _dataset(NAMESPACE, graph.package, graph.package)


def _served(graph: Graph, endpoint: Node, version: Node | None) -> Event:
    place = version.id.rpartition(":")[0] if version is not None and version.kind == "version" else NAMESPACE
    return _dataset(place, endpoint.label.replace(" ", "/"), graph.package)


def _dataset(namespace: str, name: str, version: str) -> Event:
    told = {"version": _known("1-0-1/DatasetVersionDatasetFacet", datasetVersion=version)}
    return {"namespace": namespace, "name": name, "facets": told}


def _first(graph: Graph) -> list[Node]:
    """The versions that were registered where the package was made."""
    package = graph.node(graph.package)
    return [graph.node(edge.target) for edge in graph.out_of(package) if edge.kind == "registered"]


def _model(graph: Graph) -> str:
    """What the model is called on each stack, so that its training is one job, whichever stack is asked."""
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
    """A facet of our own."""
    return {"_producer": _producer(), "_schemaURL": f"{SCHEMA}#/$defs/{kind}", **fields}


def _producer() -> str:
    return f"urn:modelstack:lineage:{metadata.version('modelstack')}"
