"""Steps `sign` and `register`: driven by the declaration, repeatable, and nothing half registered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import GateRefused, StepFailed, release
from pipeline.outcome import read
from pipeline.pack import Registered, SealedPackage
from pipeline.recipe import recipe
from pipeline.step import REFUSED
from platforms.registering import Place
from platforms.releasing import KEY, at
from platforms.sealed_packages import Unsigned
from provenance.evidence import Evidence
from provenance.key_pair import KeyPair
from tests.pipeline.conftest import append

pytestmark = pytest.mark.e2e  # it takes a package that was trained

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Shelf:
    """A store and a catalogue in memory.

    Attributes:
        archives: Digest -> bytes.
        signed: What is said of each archive, once.
        versions: The names of versions, with where they come from.
        down: Whether the catalogue takes nothing.
    """

    archives: dict[str, bytes] = field(default_factory=dict)
    signed: dict[str, Evidence] = field(default_factory=dict)
    versions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    down: bool = False

    def uri(self, digest: str) -> str:
        return f"shelf://{digest}"

    def said(self, archive_uri: str, public_key: bytes) -> Evidence:
        if archive_uri not in self.signed:
            raise Unsigned(f"{archive_uri} is not signed")
        return self.signed[archive_uri]

    def keep(self, evidence: Evidence, sealed: SealedPackage, public_key: bytes) -> None:
        assert self.uri(sealed.digest) not in self.signed, "signed twice"
        self.signed[self.uri(sealed.digest)] = evidence

    def put(self, sealed: SealedPackage) -> str:
        self.archives[sealed.digest] = sealed.path.read_bytes()
        return self.uri(sealed.digest)

    def fetch(self, archive_uri: str, package_digest: str, to: Path) -> None:
        raise AssertionError("nothing is fetched to register it")

    def find(self, package: Registered) -> str | None:
        return package.recipe if package.recipe in self.versions else None

    def create(self, package: Registered, said: Evidence, lineage: Mapping[str, str]) -> str:
        if self.down:
            raise OSError(111, "Connection refused")
        self.versions[package.recipe] = lineage
        return package.recipe


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def key() -> KeyPair:
    return KeyPair.new()


@pytest.fixture
def released(daily: Path, champion: SealedPackage, tmp_path: Path, shelf: Shelf, key: KeyPair) -> Callable[..., Any]:
    """Releases the small model, which was built before; returns the version, and what was said."""
    shutil.copytree(champion.path.parents[1], tmp_path / "packages" / champion.recipe)
    place = Place(shelf, shelf, "image", key)

    def made(root: Path = daily, **gates: Any) -> tuple[Registered, list[str]]:
        said: list[str] = []
        wanted = recipe(root, {})
        return release(root, wanted, gates, tmp_path, here=at(place), progress=said.append), said

    return made


def test_a_package_is_signed_and_registered_after_its_gate_passed_and_again_without_a_change(
    released: Callable[..., Any], champion: SealedPackage, shelf: Shelf, key: KeyPair, tmp_path: Path
) -> None:
    made, said = released(accuracy={"min": 0.5})
    assert (made.package_digest, made.archive_uri) == (champion.digest, f"shelf://{champion.digest}")
    assert (made.manifest_sha256, made.image_uri) == (champion.manifest_sha256, "image")
    assert made.metrics == dict(champion.metrics)
    assert list(dict.fromkeys(line.partition(":")[0] for line in said)) == ["gate", "sign", "register"]
    assert shelf.archives == {champion.digest: champion.path.read_bytes()}
    assert shelf.signed[made.archive_uri].verify(champion.digest, key.public_key).recipe.digest == champion.recipe
    folder = tmp_path / "packages" / champion.recipe
    assert (folder / "sign" / KEY).read_bytes() == key.public_key
    assert read(folder / "register").made_of["sign"] == read(folder / "sign").digest
    assert released(accuracy={"min": 0.5})[0] == made
    assert len(shelf.versions) == 1


def test_a_package_below_its_gates_is_neither_signed_nor_registered(released: Callable[..., Any], shelf: Shelf) -> None:
    with pytest.raises(GateRefused, match=r"accuracy +0\.\d+ +min 0\.99"):
        released(accuracy={"min": 0.99})
    assert shelf == Shelf()


def test_a_step_that_fails_leaves_nothing_registered(
    released: Callable[..., Any], daily: Path, shelf: Shelf, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(daily, tmp_path / "checkout"))
    append(
        root / "model" / "evaluation.py",
        "\ndef evaluate(*_):\n    print('half way')\n    raise RuntimeError('no luck')\n",
    )
    with pytest.raises(StepFailed) as failed:
        released(root)
    assert str(failed.value).startswith("evaluate failed: RuntimeError: no luck\n  File ")
    assert str(failed.value).endswith("    half way")
    assert shelf == Shelf()


def test_a_registry_that_is_down_is_named_with_its_step_and_the_next_release_goes_on(
    released: Callable[..., Any], shelf: Shelf, champion: SealedPackage
) -> None:
    shelf.down = True
    with pytest.raises(OSError, match="Connection refused") as failed:
        released()
    assert failed.value.__notes__ == ["register failed"]
    assert (len(shelf.signed), shelf.versions) == (1, {})
    shelf.down = False
    assert released()[0].package_digest == champion.digest
    assert len(shelf.versions) == 1


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"platform": "nowhere"}, "place.platform: 'nowhere' is not allowed: expected aws or kubernetes"),
        ({}, "place: missing; expected where the package is registered and who signs it"),
        ({"platform": "aws", "region": "us-east-1"}, "place.signing_key: missing; expected a key of KMS: its ARN"),
    ],
)
def test_a_place_that_cannot_be_understood_is_refused_in_words(
    released: Callable[..., Any], champion: SealedPackage, tmp_path: Path, told: dict[str, str], said: str
) -> None:
    kept, out = tmp_path / "packages" / champion.recipe, tmp_path / "out"
    taken = ["--in", f"seal={kept / 'seal'}", "--in", f"gate={kept / 'gate'}"]
    command = [
        sys.executable,
        "-m",
        "pipeline.run",
        "sign",
        *taken,
        "--set",
        f"place={json.dumps(told)}",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED, done.stderr
    assert said in json.loads(done.stderr.splitlines()[-1])
