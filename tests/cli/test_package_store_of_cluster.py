"""What a stack on a cluster has signed of its packages: read from a real registry, shown, and held against its key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest

from cli import reproduce
from cli.errors import OperatorError
from cli.lineage.read import read
from cli.lineage.tree import tree
from cli.page import page
from cli.platform.choose import platform_of
from cli.report.versions import bring, fetched
from cli.restore import _verified
from pipeline.pack import SealedPackage
from platforms.kubernetes.api import Api
from platforms.kubernetes.approvals import PackageApprovals
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.oci import Registry, sha256
from platforms.kubernetes.versions import ModelPackages
from services.approvals import approve
from tests.cli.registered import NAME, Stack, stack_of
from tests.platforms.kubernetes.real_registry import running

pytestmark = pytest.mark.needs("registry")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture
def stack(sealed: SealedPackage, host: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    registry = f"{host}/{uuid4().hex[:12]}"
    return stack_of(sealed, registry, monkeypatch, image=f"{registry}/serving@sha256:{'1' * 64}")


def test_the_lineage_of_a_package_is_proven_and_shown_as_on_aws(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    stack.api.who = "ben@example.org"
    approvals = PackageApprovals(cast(Api, stack.api), NAME)
    approve(ModelPackages(approvals.api, NAME), approvals, stack.id, "looks well", now=1.0, registry=NAME)
    graph = read(stack.target)
    assert (graph.package, graph.unread) == (stack.package.package_digest, ())
    page().print(tree(graph))
    told = capsys.readouterr().out
    for part in (f"models/{NAME}-1", "ada@example.org", "ben@example.org", "looks well", stack.package.recipe[:12]):
        assert part in told, (part, told)
    keys = [node for node in graph.nodes if node.kind == "key"]
    assert [node.facts["verified"] for node in keys] == [True]
    assert read(stack.target, stack.package.package_digest[:20]).package == graph.package


def test_a_comment_on_a_pull_request_reads_the_champion_from_the_registry(stack: Stack, tmp_path: Any) -> None:
    champion = platform_of(stack.target).state().champion
    assert champion is not None
    found = fetched(champion.as_dict(), tmp_path / "champion", partial(bring, stack.target))
    assert (found.package.digest, found.package.recipe) == (champion.package_digest, champion.recipe)
    gone = {**champion.as_dict(), "package_digest": f"sha256:{'0' * 64}"}
    with pytest.raises(OperatorError, match="does not name the package"):
        fetched(gone, tmp_path / "gone", partial(bring, stack.target))


def test_a_release_whose_archive_and_image_are_there_may_be_restored(stack: Stack) -> None:
    with pytest.raises(OperatorError, match=r"cannot be restored: the serving image .* is gone"):
        _verified(stack.target, stack.deployment)
    place = stack.image.partition("@")[0]
    manifest = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
    Registry.of(place).put_manifest(manifest, "application/vnd.oci.image.index.v1+json")
    found = replace(stack, image=f"{place}@{sha256(manifest)}")
    assert _verified(found.target, found.deployment) == stack.package.archive_uri


def test_a_release_whose_archive_is_gone_is_told_with_what_may_help(stack: Stack) -> None:
    gone = replace(stack, package=replace(stack.package, package_digest=f"sha256:{'0' * 64}"))
    with pytest.raises(OperatorError, match=r"cannot be restored: oci://.*/packages@sha256:0+ is gone\.") as caught:
        _verified(gone.target, gone.deployment)
    assert "so the registry or somebody did. A registry keeps bytes under their digests" in str(caught.value)
    assert "modelstack reproduce" in str(caught.value.hint)


@pytest.mark.parametrize("by", ["ModelPackage", "journal"])
def test_a_package_is_found_where_it_was_put_when_the_stack_names_another_registry(
    stack: Stack, by: str, tmp_path: Any
) -> None:
    if by == "journal":
        stack.api.delete(PACKAGE, f"{NAME}-1")
    else:
        journal = KubernetesJournal(cast(Api, stack.api), NAME)
        journal.write(replace(journal.read(), champion=None))
    moved, digest = stack.told(registry=f"{stack.target.outputs['registry']}/elsewhere"), stack.package.package_digest
    assert _verified(moved, cast(Any, replace(stack, image="serving:1").deployment)) == stack.package.archive_uri
    assert reproduce.facts_of(moved, digest).package.digest == digest
    platform_of(moved).package_store().fetch(digest, tmp_path / "then")
    if by == "ModelPackage":
        assert read(moved, digest).unread == ()


def test_a_registry_that_does_not_answer_is_no_proof_of_anything(stack: Stack) -> None:
    with pytest.raises(OperatorError, match="looking at the package sha256"):
        _verified(stack.told(registry="127.0.0.1:9/models"), stack.deployment)
