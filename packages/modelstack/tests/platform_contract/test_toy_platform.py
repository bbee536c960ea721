"""A platform of somebody else, which is installed as a package: found by its entry point, and used by its name."""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.port import Platform
from modelstack.cli.target import Target
from modelstack.cli.view.watching import Looks
from modelstack.monitoring.measurements import Metrics
from modelstack.pipeline.pack import SealedPackage
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.controller.ports import Traffic
from modelstack.rollout.core.errors import Conflict
from modelstack.rollout.core.release import Release, release_id
from modelstack.services.counters import Alarms, Counters
from modelstack.services.invoke import Invoke
from modelstack.services.package_registry import PackageRegistry, publish
from modelstack.services.package_store import BlobPackageStore
from modelstack.services.platform_registry import names, platform
from modelstack.services.ports import Blobs, Documents
from modelstack.services.versions import Versions
from tests.program.recorded import Answers, World, run_to_its_end
from tests.program.refusals import load, refusal
from tests.rollout.worlds import PLAN, fresh
from tests.rollout.worlds import release as make_release

IMAGE = "registry.example/serving:1"
PAGE = Path(__file__).resolve().parents[4] / "docs/how-to/add-a-platform.md"
IDENTITY = ("Approvals.caller", "Signer.sign")
MOST = 25


def test_it_is_one_of_the_platforms_and_says_what_it_refuses(toy: Any) -> None:
    assert {"aws", "kubernetes", "toy"} <= {*names()}
    assert load("dev", None, platform="toy", rollout={"replay": None}).platform == "toy"
    (refused,) = refusal("dev", None, platform="toy")
    assert "modelstack:rollout.replay" in refused
    assert refused.endswith("nothing is captured here; allowed is null")


def test_without_its_package_the_name_is_not_allowed() -> None:
    (refused,) = refusal("dev", None, platform="toy")
    assert refused.endswith("; installed are aws, kubernetes")


def test_a_platform_of_the_library_is_found_without_reading_all_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which each command and each preview would wait for."""
    monkeypatch.setattr(metadata, "entry_points", lambda **_: pytest.fail("all distributions are read"))
    assert platform.__wrapped__("aws").name == "aws"


def test_a_stack_on_it_is_what_its_package_declares(toy: Any) -> None:
    world = World(Answers())
    run_to_its_end(world, "local", {"platform": "toy", "rollout": {"replay": None}})
    assert (world.stopped, world.resources) == (None, [])
    assert world.exported["platform"] == "toy"
    assert world.exported["file"].endswith("flight-delay-local.sqlite")


def test_a_package_is_released_on_it(toy: Any, sealed: SealedPackage, tmp_path: Path) -> None:
    file = toy.File(tmp_path / "stack.sqlite")
    documents = toy.ToyDocuments(file)
    store, versions = BlobPackageStore(toy.ToyBlobs(file), "toy://dev"), toy.ToyVersions(documents)
    package = publish(sealed, PackageRegistry(store, versions, IMAGE, KeyPair.new()))
    name = release_id(package.recipe, IMAGE)
    release = Release(
        *(name, package.recipe, package.package_digest, package.archive_uri, IMAGE, package.manifest_sha256),
        *(package.model_package_arn, f"model-{name}", f"v-{name}", f"solo-{name}", "1"),
    )
    documents.transact([toy.Document("configs", {release.config_name: {release.variant: 1.0}})])
    journal, traffic = toy.journal_of(file), toy.ToyTraffic(documents)
    before = journal.read()
    fresh().controller(journal=journal, traffic=traffic).release(release, None, PLAN)
    assert traffic.read().shares() == {release.variant: 100.0}
    assert journal.read().champion == release
    assert platform("toy").use("champion")("dev", {"file": str(file.path)}, None) == release.as_dict()
    with pytest.raises(Conflict, match="revision 0 any more"):
        journal.write(before)


def test_the_commands_look_at_it_by_the_few_methods_that_it_must_have(toy: Any, tmp_path: Path) -> None:
    target = Target("dev", "toy", "", {"platform": "toy", "file": str(tmp_path / "stack.sqlite")})
    operator = platform_of(target)
    fresh().controller(journal=toy.journal_of(operator.file)).release(make_release("a"), None, PLAN)
    seen = Looks(target)()
    assert (seen.champion, seen.status, seen.alarms) == ("a", "InService", ())
    assert (operator.champion(), operator.alarms(), operator.graphs().panels(60)) == (make_release("a"), (), [])
    with pytest.raises(OperatorError, match="stack dev runs on toy, and this command does not work there"):
        operator.retrain("now", "why")


def test_a_platform_must_implement_no_more_methods_than_the_page_says() -> None:
    ports = [Traffic, Counters, Metrics, Alarms, Documents, Blobs, Versions, Invoke]
    methods = [f"{port.__name__}.{name}" for port in ports for name in required(port)] + [*IDENTITY]
    commands = [f"Platform.{name}" for name in sorted(Platform.__abstractmethods__)]
    assert f"{len(methods)} methods of the ports and {len(commands)} for the commands" in PAGE.read_text()
    assert len(methods + commands) <= MOST, methods + commands


def required(port: type) -> list[str]:
    """The methods of a protocol that only describe what to do."""
    (told,) = ast.parse(textwrap.dedent(inspect.getsource(port))).body
    assert isinstance(told, ast.ClassDef)
    return [one.name for one in told.body if isinstance(one, ast.FunctionDef) and len(one.body) == 1]
