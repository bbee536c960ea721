"""The first half of a release's lineage in SageMaker: data and code, training, package, and registered version.

    write(registered, facts, at=clients, prefix="flight-delay-prod", registered_by="...", promoted_from="")

    data, code ─ContributedTo─> training ─Produced─> package ─ContributedTo─> registration ─Produced─> version

The second half, from the version to the endpoint, is written when a rollout ends: `platforms.aws.rollout_entities`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platforms.aws.entities import Entities, registration, training
from rollout.core.release import release_id

if TYPE_CHECKING:
    from platforms.aws.clients import Clients
    from provenance.facts import Facts

MOST_FILES = 20
"""Of more data files, the digest of all of them stands for all: each costs calls that an update waits for."""


@dataclass(frozen=True)
class Version:
    """What a lineage leads to.

    Attributes:
        arn: The registered version.
        archive_uri: Where its archive lies.
        image: The serving image.
        promoted_from: The version of another stack that it was copied from; empty without.
    """

    arn: str
    archive_uri: str
    image: str
    promoted_from: str = ""


def write(version: Version, facts: Facts, clients: Clients, prefix: str) -> None:
    """Write what led to a version; again, it finds the same entities.

    Args:
        version: The version.
        facts: What is proven of its package.
        clients: The stack's account and region.
        prefix: What every name of the stack begins with.

    Raises:
        ClientError, BotoCoreError: SageMaker does not take it; what was written stays, and the next call goes on.
    """
    entities, digest = Entities(clients("sagemaker")), facts.package.digest
    fit = entities.action(
        training(prefix, digest),
        "Training",
        facts.builder.invocation or facts.builder.id,
        status="Completed",
        properties={
            "recipe": facts.recipe.digest,
            "builder": facts.builder.id,
            "finished": facts.builder.finished,
            "commit": facts.source.commit,
        },
    )
    for source in (*_data(entities, facts), _code(entities, facts)):
        entities.associate(source, fit, "ContributedTo")
    package = entities.artifact(version.archive_uri, "Model", {"package_digest": digest, "recipe": facts.recipe.digest})
    entities.associate(fit, package, "Produced")
    release = release_id(facts.recipe.digest, version.image)
    told = {"release": release, "package_digest": digest, "image": version.image}
    registered = entities.action(
        registration(prefix, release),
        "ModelRegistration",
        version.arn,
        status="Completed",
        properties={**told, "promoted_from": version.promoted_from},
    )
    entities.associate(package, registered, "ContributedTo")
    entities.associate(registered, entities.artifact(version.arn, "ModelPackage", told), "Produced")


def _data(entities: Entities, facts: Facts) -> Iterator[str]:
    if not facts.data or len(facts.data) > MOST_FILES:
        told = {"sha256": facts.recipe.data, "version": facts.data_version}
        yield entities.artifact("urn:modelstack:data", "DataSet", told, digest=facts.recipe.data)
        return
    for one in facts.data:
        told = {"name": one.name, "sha256": one.sha256, "bytes": one.size, "version": facts.data_version}
        yield entities.artifact(f"{one.origin or 'urn:modelstack:data'}#{one.name}", "DataSet", told, digest=one.sha256)


def _code(entities: Entities, facts: Facts) -> str:
    """The commit; of a build outside git, and of a retraining, the digest of the model's code alone."""
    source = facts.source
    told = {"sha256": facts.recipe.code, "commit": source.commit, "dirty": source.dirty}
    known: Mapping[str, str | None] = {"CommitId": source.commit, "Repository": source.remote}
    uri = f"git+{source.remote or 'urn:modelstack:code'}@{source.commit}" if source.commit else "urn:modelstack:code"
    commit = {name: value for name, value in known.items() if value}
    return entities.artifact(uri, "Code", told, digest=facts.recipe.code, commit=commit)
