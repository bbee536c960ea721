"""`modelstack reproduce`: a package is built again from its commit, in a repository of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelstack.cli import reproduce
from modelstack.cli.errors import OperatorError
from modelstack.cli.main import main
from modelstack.cli.target import Target
from modelstack.pipeline import origin
from modelstack.pipeline.build import build
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.recipe import recipe
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.package_registry import registry
from modelstack.records.provenance.facts import Facts
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.package_registry import publish
from tests.pipeline.conftest import ROOT, append, checkout_of, resealed
from tests.platforms.aws.mocked import mocked_aws

pytestmark = pytest.mark.e2e

PLACE = {"bucket": "artifacts", "group": "packages"}
KEY = KeyPair.new()
OUTPUTS = {"artifact_bucket": "artifacts", "package_group": "packages", "signing_key": KEY.public_key.decode()}


@dataclass(frozen=True)
class Built:
    root: Path
    sealed: SealedPackage


def git(root: Path, *words: str) -> str:
    own = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
    return subprocess.run(["git", *own, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("reproduced")
    root = checkout_of(ROOT / "packages/modelstack/tests" / "pipeline" / "daily", folder / "repository")
    (root / ".gitignore").write_text("__pycache__/\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return Built(root, build(root, recipe(root, {}), workdir=folder / "work", progress=lambda _: None))


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch, built: Built) -> Iterator[Clients]:
    """A registry with a key of its own; commands are about it, and about the repository."""
    with mocked_aws(monkeypatch) as make:
        make("s3").create_bucket(Bucket=PLACE["bucket"])
        make("sagemaker").create_model_package_group(ModelPackageGroupName=PLACE["group"])
        monkeypatch.setattr(
            "modelstack.cli.target_options.resolve", lambda stack: Target("prod", "e", "us-east-1", OUTPUTS)
        )
        monkeypatch.setattr(reproduce, "project_root", lambda: built.root)
        yield make


def published(clients: Clients, sealed: SealedPackage, **changes: Any) -> Facts:
    """Register a package with what is said of it, some of it changed."""
    facts = replace(origin.facts_of(sealed), **changes)
    origin.write(facts, sealed)
    publish(sealed, registry(**PLACE, image="image:process", clients=clients, signer=KEY))
    return facts


def reproduced(facts: Facts) -> Result:
    return CliRunner().invoke(main, ["reproduce", facts.package.digest])


def test_the_commit_gives_the_same_bytes_and_the_commands_that_get_it_are_printed(
    clients: Clients, built: Built
) -> None:
    commit = git(built.root, "rev-parse", "HEAD")
    append(built.root / "model" / "training.py", "\n# of later\n")  # of another commit, or of none
    try:
        done = reproduced(published(clients, built.sealed))
    finally:
        git(built.root, "checkout", "-q", "model")
    assert done.exit_code == 0, done.output
    assert f"the same digest: {built.sealed.digest}" in done.stdout
    assert f"git worktree add --detach ../at-{commit[:12]} {commit}" in done.stdout
    assert f"git show {commit[:12]}:stacks/Pulumi.prod.yaml" in done.stdout
    assert "training" in done.stderr, "it was not taken from a cache"
    assert git(built.root, "worktree", "list").count("\n") == 0, "no worktree stays"


def test_other_bytes_are_told_file_by_file_and_so_is_what_was_around_the_build(
    clients: Clients, built: Built, tmp_path: Path
) -> None:
    facts = origin.facts_of(built.sealed)
    other = resealed(built.sealed, tmp_path, lambda inside: append(inside / "example.json", " "))
    about = replace(facts.package, digest=other.digest, manifest_sha256=other.manifest_sha256)
    machine = replace(facts.environment, machine="riscv64")
    origin.write(replace(facts, package=about, environment=machine), other)
    done = reproduced(published(clients, other))
    assert done.exit_code == 1, done.output
    assert f"another digest: {other.digest} then, {built.sealed.digest} now" in done.stdout
    listed = done.stdout.partition("files of the archive that differ:\n")[2].splitlines()
    assert listed[0].startswith("  example.json: ")
    assert listed[1] == "around the build there differs:"
    assert listed[2].startswith("  machine: riscv64 then, ")
    assert len(listed) == 3


def test_changes_that_no_commit_has_are_named_by_the_part_of_the_recipe_that_is_lacking(
    clients: Clients, built: Built, tmp_path: Path
) -> None:
    append(built.root / "model" / "training.py", "\n# never committed\n")
    try:
        sealed = build(built.root, recipe(built.root, {}), workdir=tmp_path, progress=lambda _: None)
        done = reproduced(published(clients, sealed))
    finally:
        git(built.root, "checkout", "-q", "model")
    assert done.exit_code == 3
    told = " ".join(done.stderr.split())
    assert "its recipe is lacking: code: " in told
    assert "had changes beside commit" in told
    assert "data:" not in told


def test_a_package_that_was_tried_before_its_commit_is_of_the_commit_that_has_it(built: Built, tmp_path: Path) -> None:
    append(built.root / "model" / "training.py", "\n# tried, and committed then\n")
    try:
        tried = build(built.root, recipe(built.root, {}), workdir=tmp_path, progress=lambda _: None)
        assert origin.facts_of(tried).source.dirty is True
        git(built.root, "commit", "-q", "-a", "-m", "second")
        again = build(built.root, recipe(built.root, {}), workdir=tmp_path, progress=pytest.fail)
        facts = origin.facts_of(again)
        assert (facts.source.commit, facts.source.dirty) == (git(built.root, "rev-parse", "HEAD"), False)
        assert again.digest == tried.digest == facts.package.digest
        git(built.root, "commit", "-q", "--allow-empty", "-m", "third")
        assert origin.facts_of(build(built.root, recipe(built.root, {}), workdir=tmp_path)) == facts, "the first one"
    finally:
        git(built.root, "reset", "-q", "--hard", git(built.root, "rev-list", "--max-parents=0", "HEAD"))


def test_a_commit_that_is_not_here_and_a_build_outside_git_say_what_is_lacking(clients: Clients, built: Built) -> None:
    source = origin.facts_of(built.sealed).source
    away = replace(source, commit="f" * 40, remote="https://example.com/flights.git")
    told = reproduced(published(clients, built.sealed, source=away)).stderr
    assert f"commit {'f' * 40} is not in the repository" in told
    assert f"git fetch https://example.com/flights.git {'f' * 40}" in told
    origin.write(replace(origin.facts_of(built.sealed), source=source), built.sealed)


def test_what_is_not_registered_and_what_another_key_signed_are_refused(
    clients: Clients, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(main, ["reproduce", "sha256:" + "0" * 64])
    assert (done.exit_code, "no such package is among the newest 100 of packages" in done.stderr) == (3, True)
    facts = published(clients, built.sealed)
    other = {**OUTPUTS, "signing_key": KeyPair.new().public_key.decode()}
    monkeypatch.setattr("modelstack.cli.target_options.resolve", lambda stack: Target("prod", "e", "us-east-1", other))
    told = reproduced(facts)
    assert (told.exit_code, "is not to be believed" in told.stderr) == (1, True)


def test_a_whole_digest_is_found_however_many_were_registered_since(
    clients: Clients, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = published(clients, built.sealed)
    monkeypatch.setattr("modelstack.cli.reproduce.newest", lambda *_: [])
    target = Target("prod", "e", "us-east-1", OUTPUTS)
    assert reproduce.facts_of(target, facts.package.digest.upper().replace("SHA256", "sha256")) == facts
    with pytest.raises(OperatorError, match="no such package"):
        reproduce.facts_of(target, facts.id)


def test_a_shallow_clone_is_told_to_get_the_rest(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    whole.mkdir()
    git(whole, "init", "-q")
    for name in ("first", "second"):
        git(whole, "commit", "-q", "--allow-empty", "-m", name)
    git(tmp_path, "clone", "-q", "--depth", "1", whole.as_uri(), str(shallow))
    facts = origin.facts_of(built.sealed)
    first = replace(facts, source=replace(facts.source, commit=git(whole, "rev-parse", "HEAD~1")))
    monkeypatch.setattr(reproduce, "project_root", lambda: shallow)
    with pytest.raises(OperatorError, match="is not in the repository") as refused:
        reproduce.checked_out(first, tmp_path / "out").__enter__()
    assert refused.value.hint == "Get it, and try again: git fetch --unshallow"
