"""What does an ARN in a lineage stand for?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.experiments import COMPONENT
from localcloud.sagemaker.lineage_entities import KINDS
from localcloud.sagemaker.store import Document, Store

_BY_HAND = "SageMakerExperimentTrialComponent"
_SERVICE = "SageMaker"


@dataclass(frozen=True)
class Node:
    """An entity that can be associated with others.

    Attributes:
        lineage_type: `Artifact`, `Action`, `Context` or `TrialComponent`.
        type: Its own type, such as `DataSet`, as QueryLineage has it.
        listed_type: The same as ListAssociations has it, where the type of a trial component is that of its source,
            such as `SageMakerTrainingJob`; without a source it is `SageMakerExperimentTrialComponent`.
        name: Its name; empty without.
        made: CreationTime.
        changed: LastModifiedTime.
        properties: Its properties; a trial component has none.
    """

    lineage_type: str
    type: str
    listed_type: str
    name: str
    made: float
    changed: float
    properties: Mapping[str, str] = field(default_factory=dict)


def node_of(store: Store, account: Account, arn: str) -> Node | None:
    """The entity of an ARN; None when there is none."""
    for kind in KINDS.values():
        if entity := _stored(store, account, kind.stored, arn):
            type_ = entity[f"{kind.name}Type"]
            times = entity["CreationTime"], entity["LastModifiedTime"]
            name = entity.get(f"{kind.name}Name", "")
            return Node(kind.name, type_, type_, name, *times, entity.get("Properties", {}))
    if component := _stored(store, account, COMPONENT, arn):
        listed = component.get("Source", {}).get("SourceType", _BY_HAND)
        times = component["CreationTime"], component["LastModifiedTime"]
        name = component["TrialComponentName"]
        return Node("TrialComponent", listed.removeprefix(_SERVICE), listed, name, *times)
    return None


def _stored(store: Store, account: Account, kind: str, arn: str) -> Document | None:
    key = account.name(kind, arn)
    return store.get(kind, key) if key != arn else None
