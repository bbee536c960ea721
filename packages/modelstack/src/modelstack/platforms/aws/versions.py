"""`Versions` in SageMaker: the versions of a model package group."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from modelstack.platforms.aws.identity import caller
from modelstack.platforms.aws.pages import pages
from modelstack.platforms.s3.errors import code_of
from modelstack.services.principals import as_metadata
from modelstack.services.sealed_packages import METRICS, REFERENCE, REGISTERED_BY, member_uri
from modelstack.services.versions import PENDING, Version, find

if TYPE_CHECKING:  # a function reads versions and has no pipeline; a training job adds one and has no rollout
    from modelstack.pipeline.pack import Registered
    from modelstack.platforms.aws.clients import Clients
    from modelstack.records.provenance.evidence import Attestation

MANIFEST_VARIABLE = "MODELSTACK_MANIFEST_SHA256"
_JSON = "application/json"
_METRIC = "metric."
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GONE = {"ValidationException", "ResourceNotFound"}
_OWN = ("recipe", "package_digest", "manifest_sha256")


@dataclass(frozen=True)
class GroupVersions:
    """`Versions` of a model package group; it may be empty if versions are only read by their ARNs."""

    group: str
    clients: Clients

    def list(self, about: str = "") -> Iterator[Version]:
        """See `Versions`; each one is described when it is taken.

        A version's description has its package digest and the beginning of its recipe: few others are described.
        """
        for summary in self._summaries():
            if about[:12] in summary.get("ModelPackageDescription", about):
                found = self.get(summary["ModelPackageArn"])
                if found is not None:
                    yield found

    def get(self, name: str) -> Version | None:
        """See `Versions`; by its ARN."""
        sagemaker = self.clients("sagemaker")
        try:
            found = sagemaker.describe_model_package(ModelPackageName=name)
        except ClientError as error:
            if code_of(error) in _GONE:
                return None
            raise
        known = found.get("CustomerMetadataProperties", {})
        container = (found.get("InferenceSpecification", {}).get("Containers") or [{}])[0]
        return Version(
            name=found.get("ModelPackageArn", name),
            number=found.get("ModelPackageVersion", 0),
            **{field: known.get(field, "") for field in _OWN},
            archive_uri=container.get("ModelDataUrl") or "",
            image_uri=container.get("Image", ""),
            approval=found.get("ModelApprovalStatus", PENDING),
            why=found.get("ApprovalDescription", ""),
            created=found["CreationTime"],
            metrics={name.removeprefix(_METRIC): value for name, value in known.items() if name.startswith(_METRIC)},
            lineage={name: value for name, value in known.items() if name not in _OWN and not name.startswith(_METRIC)},
        )

    def digests(self) -> Mapping[str, str]:
        """See `Versions`; only versions without a digest in their description are described."""
        found = dict[str, str]()
        for summary in self._summaries():
            arn, named = summary["ModelPackageArn"], _DIGEST.search(summary.get("ModelPackageDescription", ""))
            version = None if named else self.get(arn)
            digest = named[0] if named else version and version.package_digest
            if digest:
                found[arn] = digest
        return found

    def add(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        """See `Versions`; with the signed model card."""
        there = find(self, package.package_digest, package.image_uri)
        return there.name if there else self._create(package, evidence, lineage)

    def _create(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        # A repeated call after a lost answer is the same call by this token (at most 36 characters).
        token = hashlib.sha256(f"{self.group} {package.package_digest} {package.image_uri}".encode()).hexdigest()[:36]
        answer = self.clients("sagemaker").create_model_package(
            ModelPackageGroupName=self.group,
            ModelPackageDescription=f"recipe {package.recipe[:12]}, archive {package.package_digest}",
            ModelApprovalStatus=PENDING,
            InferenceSpecification={
                "Containers": [
                    {
                        "Image": package.image_uri,
                        "ModelDataUrl": package.archive_uri,
                        "Environment": {MANIFEST_VARIABLE: package.manifest_sha256},
                    }
                ],
                "SupportedContentTypes": [_JSON],
                "SupportedResponseMIMETypes": [_JSON],
            },
            ModelMetrics={
                measure: {"Statistics": {"ContentType": _JSON, "S3Uri": member_uri(package.archive_uri, name)}}
                for measure, name in (("ModelQuality", METRICS), ("ModelDataQuality", REFERENCE))
            },
            **_card(evidence),
            CustomerMetadataProperties={
                **{name: as_metadata(value) for name, value in lineage.items()},
                **{name: getattr(package, name) for name in _OWN},
                REGISTERED_BY: as_metadata(caller(self.clients)),
                **{f"{_METRIC}{name}": f"{value:.6g}" for name, value in sorted(package.metrics.items())},
            },
            ClientToken=token,
        )
        return answer["ModelPackageArn"]

    def _summaries(self) -> Iterator[dict[str, Any]]:
        order = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
        operation = self.clients("sagemaker").list_model_packages
        for page in pages(operation, ModelPackageGroupName=self.group, **order):
            yield from page["ModelPackageSummaryList"]


def _card(evidence: Attestation) -> dict[str, Any]:
    """The signed model card of a version; none if another version of modelstack has made none."""
    from modelstack.records.provenance.evidence import SAGEMAKER_CARD  # noqa: PLC0415  see above

    content = evidence.documents.get(SAGEMAKER_CARD)
    return {"ModelCard": {"ModelCardContent": content.decode(), "ModelCardStatus": "Draft"}} if content else {}
