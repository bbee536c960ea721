"""A package registry, the same on every platform: same bytes in, same bytes out, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from modelstack.pipeline import archive, origin
from modelstack.pipeline.gate import GateRefused
from modelstack.pipeline.pack import SealedPackage
from modelstack.records.provenance.envelope import SignatureError, key_id
from modelstack.records.provenance.evidence import sign
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.release import release_id
from modelstack.services import package_registry
from modelstack.services.package_registry import ReleaseRecord, check, copy, publish, take
from modelstack.services.sealed_packages import PROMOTED_FROM, REGISTERED_BY, TRAINED_BY, RegistryError, Unsigned
from modelstack.services.versions import PENDING, find, of_recipe, of_release
from tests.platform_contract.packages import KINDS, OTHER_IMAGE, Stack, stack_of
from tests.platforms.aws.either import IMAGE, root_of
from tests.platforms.aws.mocked import lead_to_mocks
from tests.platforms.kubernetes.real_registry import running

New = Callable[..., Stack]
ON_ONE = pytest.mark.parametrize("new", ["toy"], indirect=True)
"""What is decided above the platforms needs one of them."""
NEXT = {"moto": "bucket", "bucket": "moto", "registry": "moto"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Gives the HOST:PORT of a registry of images, which runs from the first call on."""
    with running(tmp_path_factory.mktemp("registry")) as one:
        yield lambda: one


@pytest.fixture(params=KINDS)
def new(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> New:
    """Makes stacks of one kind, or of the kind that another stack takes from."""
    lead_to_mocks(monkeypatch)

    @cache
    def clients() -> Any:
        if request.param != "local cloud":
            url = request.getfixturevalue("moto_url")
            return cache(partial(boto3.Session("test", "test", region_name="us-east-1").client, endpoint_url=url))
        url, session = root_of(request)
        return cache(partial(session.client, endpoint_url=url))

    def host() -> str:
        return request.getfixturevalue("host")()

    def toy() -> Any:
        made, folder = request.getfixturevalue("toy"), request.getfixturevalue("tmp_path_factory").mktemp("toy")
        return made, made.File(folder / f"{uuid4().hex}.sqlite")

    def new(other: bool = False) -> Stack:
        kind = NEXT.get(request.param, request.param) if other else request.param
        return stack_of(kind, clients, host, toy)

    return new


@pytest.fixture
def here(new: New) -> Stack:
    return new()


def test_a_published_package_is_there_whole_and_waits_for_approval(
    sealed: SealedPackage, here: Stack, tmp_path: Path
) -> None:
    published = publish(sealed, here.here, {"data": "s3://raw/2024"})
    here.here.store.fetch(published.archive_uri, sealed.digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == sealed.path.read_bytes()
    assert here.here.store.uri(sealed.digest) == published.archive_uri
    (version,) = here.here.versions.list()
    assert (version.name, version.approval, version.image_uri) == (published.model_package_arn, PENDING, IMAGE)
    assert (version.recipe, version.package_digest) == (sealed.recipe, sealed.digest)
    assert (version.manifest_sha256, version.archive_uri) == (sealed.manifest_sha256, published.archive_uri)
    assert version.metrics["auc"] == f"{sealed.metrics['auc']:.6g}"
    assert version.lineage["data"] == "s3://raw/2024"
    assert version.made_by == (version.lineage[REGISTERED_BY],) != ("",)


def test_a_version_is_found_by_its_name_package_recipe_and_release(sealed: SealedPackage, here: Stack) -> None:
    versions = here.here.versions
    assert (versions.digests(), here.names(), of_recipe(versions, sealed.recipe)) == ({}, [], None)
    name = publish(sealed, here.here).model_package_arn
    other = publish(sealed, here.with_image(OTHER_IMAGE)).model_package_arn
    assert {*here.names()} == {name, other} == versions.digests().keys()
    made = [one.created for one in versions.list()]
    assert made == sorted(made, reverse=True), "newest first"
    assert {*versions.digests().values()} == {sealed.digest}
    found = [find(versions, sealed.digest, IMAGE), of_release(versions, release_id(sealed.recipe, IMAGE))]
    assert [one and one.name for one in found] == [name, name]
    by_recipe, by_name = of_recipe(versions, sealed.recipe), versions.get(name)
    assert by_recipe and by_recipe.name in {name, other}
    assert by_name and by_name.name == name
    assert find(versions, sealed.digest, "another") is None
    assert of_release(versions, "0" * 12) is None
    assert versions.get(f"{name}0") is None


def test_publishing_again_registers_once_and_keeps_the_decision_and_what_was_signed_first(
    sealed: SealedPackage, here: Stack, tmp_path: Path
) -> None:
    first, key = publish(sealed, here.here), here.here.signer.public_key
    here.decide(first.model_package_arn, "Rejected")
    before = here.here.store.evidence(first.archive_uri, key)
    again = replace(sealed, path=Path(shutil.copy(sealed.path, tmp_path / "model.tar.gz")))
    facts = origin.facts_of(sealed)
    origin.write(replace(facts, source=replace(facts.source, commit="9" * 40)), again)
    assert publish(again, here.here) == first
    assert [one.approval for one in here.here.versions.list()] == ["Rejected"]
    assert here.here.store.evidence(first.archive_uri, key) == before


def test_another_image_is_another_version_of_the_same_bytes(sealed: SealedPackage, here: Stack) -> None:
    first, second = publish(sealed, here.here), publish(sealed, here.with_image(OTHER_IMAGE))
    assert first.archive_uri == second.archive_uri
    assert first.model_package_arn != second.model_package_arn
    assert publish(sealed, here.here) == first


@pytest.mark.parametrize("after", (0, 1, 8, 12))
def test_publishing_continues_where_it_was_interrupted(
    sealed: SealedPackage, here: Stack, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Cut off before the n-th write of bytes, whichever that is."""
    writes = [0]

    def cut_off(call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*given: Any, **named: Any) -> Any:
            writes[0] += 1
            if writes[0] > after:
                raise KeyboardInterrupt
            return call(*given, **named)

        return write

    with monkeypatch.context() as patched:
        for owner, name in here.writes:
            patched.setattr(owner, name, cut_off(getattr(owner, name)))
        if after < 2 or not here.here.store.uri("").startswith("toy"):
            with pytest.raises(KeyboardInterrupt):
                publish(sealed, here.here)
            assert here.names() == []
    check(here.record(publish(sealed, here.here)), here.here.store)
    assert len(here.names()) == 1


@ON_ONE
def test_an_archive_that_was_changed_on_disk_is_not_sent(sealed: SealedPackage, here: Stack, tmp_path: Path) -> None:
    changed = tmp_path / "model.tar.gz"
    changed.write_bytes(sealed.path.read_bytes() + b"x")
    with pytest.raises(archive.ArchiveError, match="has digest"):
        publish(replace(sealed, path=changed), here.here)
    assert (here.names(), here.here.store.has(here.here.store.uri(sealed.digest))) == ([], False)


def test_what_is_published_is_signed_with_the_key_of_the_stack_alone(sealed: SealedPackage, here: Stack) -> None:
    store, key = here.here.store, here.here.signer.public_key
    assert store.signers(store.uri(sealed.digest)) == []
    published = publish(sealed, here.here)
    assert store.evidence(published.archive_uri, key).verify(sealed.digest, key) == origin.facts_of(sealed)
    assert store.signers(published.archive_uri) == [key_id(key)[:12]]
    with pytest.raises(Unsigned, match="is not signed with the key"):
        store.evidence(published.archive_uri, KeyPair.new().public_key)


def test_promotion_registers_the_same_bytes_with_both_signatures_and_where_they_came_from(
    sealed: SealedPackage, new: New
) -> None:
    source, target = new(other=True), new()
    first = publish(sealed, source.here)
    second = copy(source.record(first), source.origin, target.here)
    assert second.archive_uri == target.here.store.uri(sealed.digest) != first.archive_uri
    same = ("package_digest", "manifest_sha256", "recipe", "metrics")
    assert [getattr(second, name) for name in same] == [getattr(first, name) for name in same]
    (made,), (version,) = source.here.versions.list(), target.here.versions.list()
    assert (version.lineage[PROMOTED_FROM], version.approval) == (first.model_package_arn, PENDING)
    assert version.made_by == (version.lineage[TRAINED_BY], version.lineage[REGISTERED_BY])
    assert version.lineage[TRAINED_BY] == made.lineage[REGISTERED_BY]
    for key in (source.here.signer.public_key, target.here.signer.public_key):
        told = target.here.store.evidence(second.archive_uri, key).verify(sealed.digest, key)
        assert told == origin.facts_of(sealed)
    third = new()
    assert copy(target.record(second), target.origin, third.here).package_digest == sealed.digest


@ON_ONE
def test_what_is_below_the_gates_or_another_package_or_not_signed_is_not_promoted(
    sealed: SealedPackage, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = new(other=True), new()
    record = source.record(publish(sealed, source.here))
    with pytest.raises(GateRefused, match=r"auc +0\.\d+ +min 0\.99"):
        copy(record, source.origin, target.here, {"auc": {"min": 0.99}})
    with pytest.raises(Unsigned):
        copy(replace(record, signed_by=KeyPair.new().public_key), source.origin, target.here)
    monkeypatch.setattr(package_registry, "describe", lambda *_: pytest.fail("the archive was parsed"))
    with pytest.raises(SignatureError, match="the archive is sha256:0000"):
        copy(replace(record, package_digest="sha256:" + "0" * 64), source.origin, target.here)
    assert (target.names(), target.here.store.has(target.here.store.uri(sealed.digest))) == ([], False)


def test_a_package_from_before_packages_were_signed_is_refused_until_it_is_published_again(
    sealed: SealedPackage, new: New
) -> None:
    source, target = new(), new()
    uri = source.here.store.put(sealed)
    record = ReleaseRecord(uri, sealed.digest, "", source.here.signer.public_key)
    with pytest.raises(Unsigned):
        copy(record, source.origin, target.here)
    published = source.record(publish(sealed, source.here))
    assert copy(published, source.origin, target.here).package_digest == sealed.digest


def test_what_another_key_has_signed_is_not_believed(sealed: SealedPackage, here: Stack) -> None:
    stranger = KeyPair.new()
    record = here.record(publish(sealed, replace(here.here, signer=stranger)))
    with pytest.raises(Unsigned):
        check(record, here.here.store)
    check(replace(record, signed_by=stranger.public_key), here.here.store)


def test_a_candidate_is_taken_as_it_is_registered(sealed: SealedPackage, here: Stack) -> None:
    first = publish(sealed, here.here)
    assert take(here.record(first), sealed.recipe, here.here, {"auc": {"min": 0.5}}) == first
    assert len(here.names()) == 1
    taken = take(here.record(first), sealed.recipe, here.with_image(OTHER_IMAGE))
    assert (taken.archive_uri, taken.image_uri) == (first.archive_uri, OTHER_IMAGE)
    assert taken.model_package_arn != first.model_package_arn


@ON_ONE
def test_a_candidate_of_another_recipe_or_below_its_gates_is_refused(sealed: SealedPackage, here: Stack) -> None:
    record = here.record(publish(sealed, here.here))
    with pytest.raises(RegistryError, match=f"is of recipe {sealed.recipe}, expected 0000"):
        take(record, "0000", here.here)
    with pytest.raises(GateRefused, match=r"auc +0\.\d+ +min 0\.99"):
        take(record, sealed.recipe, here.here, {"auc": {"min": 0.99}})


def test_what_is_fetched_appears_only_with_its_digest(sealed: SealedPackage, here: Stack, tmp_path: Path) -> None:
    store = here.here.store
    with pytest.raises(RegistryError):
        store.fetch(store.uri(sealed.digest), sealed.digest, tmp_path / "model.tar.gz")
    published = publish(sealed, here.here)
    with pytest.raises(RegistryError, match="sha256:0000"):
        store.fetch(published.archive_uri, "sha256:" + "0" * 64, tmp_path / "model.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_evidence_by_another_key_in_the_stacks_name_is_refused(sealed: SealedPackage, here: Stack) -> None:
    forged, trusted = sign(origin.facts_of(sealed), KeyPair.new()), here.here.signer.public_key
    uri = here.here.store.put(sealed)
    with pytest.raises(SignatureError, match="is not by the key"):
        here.here.store.put_evidence(forged, sealed, trusted)
        check(ReleaseRecord(uri, sealed.digest, "", trusted), here.here.store)
