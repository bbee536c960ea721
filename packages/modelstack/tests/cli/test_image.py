"""`make image` leaves an image in the registry that SageMaker takes, once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from modelstack.cli.errors import OperatorError
from modelstack.cli.local import cluster_image, image
from modelstack.cli.local.container import Engine
from modelstack.cli.local.image import DOCKER_MANIFEST, SERVING, Repository, published
from modelstack.cli.local.stack import Stack

CONSOLE = Console(quiet=True)
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def manifest(kind: str, what: str = "a") -> str:
    """A manifest of a kind; `what` tells one image from another."""
    content: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind, "layers": []}
    if kind == INDEX:
        return json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [], "annotations": {"what": what}})
    config = {
        "mediaType": f"{kind}.config",
        "size": 2,
        "digest": f"sha256:{base64.b16encode(what.encode() * 32).decode()}",
    }
    return json.dumps({**content, "config": config})


class Docker:
    """An engine whose pushes arrive as manifests of one kind, each build with other bytes."""

    def __init__(self, ecr: Any, kind: str) -> None:
        self.ecr, self.kind, self.did = ecr, kind, list[str]()

    def image_id(self, name: str) -> str:
        return "sha256:base" if name == "base" else ""

    def run(self, *words: str) -> str:
        return "3.11"

    def build(self, context: Path, name: str, base: str) -> None:
        self.did.append("build")

    def push(self, built: str, name: str, host: str, user: str, password: str) -> None:
        self.did.append("push")
        self.ecr.put_image(
            repositoryName="dev-serving",
            imageTag=name.rpartition(":")[2],
            imageManifest=manifest(self.kind, str(len(self.did))),
            imageManifestMediaType=self.kind,
        )


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, aws_keys: None) -> Iterator[Repository]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr(image, "wheels", lambda *_: tmp_path / "wheels")
    with mock_aws():
        made = boto3.client("ecr", "us-east-1").create_repository(
            repositoryName="dev-serving", imageTagMutability="IMMUTABLE"
        )
        yield Repository.at(made["repository"]["repositoryUri"])


def make(docker: Docker, repository: Repository) -> str:
    return published(cast(Engine, docker), SERVING, "base", repository, CONSOLE)


def test_an_image_is_named_by_its_digest_and_pushed_once(repository: Repository) -> None:
    docker = Docker(repository.ecr, DOCKER_MANIFEST)
    name = make(docker, repository)
    assert name.startswith(f"{repository.uri}@sha256:")
    assert make(docker, repository) == name, "another build has other bytes"
    assert docker.did == ["build", "push"]


@pytest.mark.parametrize("kind", [OCI, INDEX])
def test_what_sagemaker_would_refuse_is_told_after_the_push_and_at_the_next_time(
    repository: Repository, kind: str
) -> None:
    docker = Docker(repository.ecr, kind)
    for _ in range(2):
        with pytest.raises(OperatorError, match=r"SageMaker takes application/vnd.docker.*v2.json only") as caught:
            make(docker, repository)
        assert kind in str(caught.value)
        assert "aws ecr batch-delete-image --repository-name dev-serving --image-ids imageTag=" in str(
            caught.value.hint
        )
    assert docker.did == ["build", "push"], "a tag never moves, so nothing is pushed onto it"


def of_cluster(folder: Path, **kubernetes: str) -> Stack:
    config = {"modelstack:platform": "kubernetes", "modelstack:kubernetes": kubernetes}
    path = folder / "Pulumi.prod.yaml"
    path.write_text(json.dumps({"config": config}))
    return Stack("prod", config=path)


def test_a_stack_on_kubernetes_gets_its_images_where_its_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        cluster_image, "published", lambda registry, say: asked.append(registry) or {"serving": f"{registry}/serving@1"}
    )
    image.push_for_cluster(of_cluster(tmp_path, registry="registry.example.org/models"), Console())
    assert asked == ["registry.example.org/models"]
    assert "registry.example.org/models/serving@1" in capsys.readouterr().out
    with pytest.raises(OperatorError, match=r"the file of stack prod has no modelstack:kubernetes\.registry"):
        image.push_for_cluster(of_cluster(tmp_path), CONSOLE)
