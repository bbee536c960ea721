"""Writes SageMaker's entities of a lineage, as one view of its graph (`modelstack.records.lineage.graph`).

    data, code ─ContributedTo─> training ─Produced─> package ─ContributedTo─> registration ─Produced─> version
    version ─ContributedTo─> rollout ─AssociatedWith─> endpoint

An update writes everything up to the version. The rollout controller writes each ended rollout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelstack.platforms.aws.entities import Entities, registration, rollout, training
from modelstack.records.lineage.graph import Graph, Node, Verb

if TYPE_CHECKING:
    from modelstack.platforms.aws.clients import Clients

MOST_FILES = 20
"""With more data files, one artifact with the digest of all is written: each costs calls that an update waits for."""
_STATUS = {"promoted": "Completed", "rolled_back": "Failed", "failed": "Failed"}
_OTHER = "Stopped"
_DATA, _CODE = "urn:modelstack:data", "urn:modelstack:code"


def write(graph: Graph, clients: Clients, prefix: str) -> None:
    """Write the registered versions and the rollouts of a graph; a repeat finds the same entities.

    `prefix` is the name of the endpoint. A version of another stack, without an archive here, is only a property. After
    a ClientError or BotoCoreError the next call continues.
    """
    sagemaker = clients("sagemaker")
    view = _View(graph, Entities(sagemaker), prefix)
    for version in graph.of("version"):
        if version.facts.get("archive"):
            view.write_version(version)
    for node in graph.of("rollout"):
        view.write_rollout(node, sagemaker.describe_endpoint(EndpointName=prefix)["EndpointArn"])


@dataclass(frozen=True)
class _View:
    graph: Graph
    entities: Entities
    prefix: str

    def write_version(self, version: Node) -> None:
        entities, digest, release = self.entities, self.graph.package, version.facts["release"]
        (recipe,) = self.graph.of("recipe")
        properties = {"package_digest": digest, "recipe": recipe.facts["digest"]}
        package = entities.artifact(version.facts["archive"], "Model", properties)
        entities.associate(self._training(recipe), package, "Produced")
        properties = {"release": release, "package_digest": digest, "image": version.facts["image"]}
        origin = next((one.id for one in self.graph.sources(version, Verb.PROMOTED)), "")
        registered = entities.action(
            registration(self.prefix, release),
            "ModelRegistration",
            version.id,
            status="Completed",
            properties={**properties, "promoted_from": origin},
        )
        entities.associate(package, registered, "ContributedTo")
        entities.associate(registered, entities.artifact(version.id, "ModelPackage", properties), "Produced")

    def write_rollout(self, node: Node, endpoint_arn: str) -> None:
        entities, release, verdict = self.entities, node.facts["release"], node.facts["verdicts"][-1]
        name = rollout(self.prefix, node.id.rpartition("/")[2])
        action = entities.action(
            name,
            "ModelDeployment",
            endpoint_arn,
            status=_STATUS.get(verdict["outcome"], _OTHER),
            properties={"release": release, "verdict": verdict["outcome"], "why": verdict["why"]},
        )
        for version in entities.produced_by(action.replace(name, registration(self.prefix, release))):
            entities.associate(version, action, "ContributedTo")
        entities.associate(action, entities.context(self.prefix, "Endpoint", endpoint_arn), "AssociatedWith")

    def _training(self, recipe: Node) -> str:
        (node,), used = self.graph.of("training"), self.graph.sources(recipe, Verb.USED)
        (commit,) = (one for one in used if one.kind == "commit")
        action = self.entities.action(
            training(self.prefix, self.graph.package),
            "Training",
            node.facts["run"] or node.facts["builder"],
            status="Completed",
            properties={
                "recipe": recipe.facts["digest"],
                "builder": node.facts["builder"],
                "finished": node.at,
                "commit": commit.facts["commit"],
            },
        )
        for source in (*self._data(recipe, [one for one in used if one.kind == "data"]), self._code(recipe, commit)):
            self.entities.associate(source, action, "ContributedTo")
        return action

    def _data(self, recipe: Node, files: list[Node]) -> Iterator[str]:
        whole, version = recipe.facts["data"], files[0].facts.get("version")
        if len(files) > MOST_FILES or "bytes" not in files[0].facts:
            yield self.entities.artifact(_DATA, "DataSet", {"sha256": whole, "version": version}, digest=whole)
            return
        for one in files:
            known = {name: one.facts.get(name) for name in ("sha256", "bytes", "version")}
            uri = f"{one.facts['source'] or _DATA}#{one.label}"
            yield self.entities.artifact(uri, "DataSet", {"name": one.label, **known}, digest=one.facts["sha256"])

    def _code(self, recipe: Node, commit: Node) -> str:
        """The commit; of a build outside git, and of a retraining, the digest of the model's code alone."""
        revision, remote, digest = commit.facts["commit"], commit.facts["remote"], recipe.facts["code"]
        uri = f"git+{remote or _CODE}@{revision}" if revision else _CODE
        source = {name: value for name, value in (("CommitId", revision), ("Repository", remote)) if value}
        properties = {"sha256": digest, "commit": revision, "dirty": commit.facts["dirty"]}
        return self.entities.artifact(uri, "Code", properties, digest=digest, commit=source)
