from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

import modelstack.platforms.aws.package_registry
from modelstack.pipeline import archive
from modelstack.pipeline.build import build
from modelstack.pipeline.candidate import Job, Report, retrain
from modelstack.pipeline.pack import SealedPackage, describe
from modelstack.pipeline.recipe import canonical, recipe
from modelstack.platforms.aws.clients import Clients
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.publish_steps import at

ROOT = Path(__file__).resolve().parents[4]
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/daily-serving:process"
OWN_SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

def main(folder, host, port):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def do_POST(self):
            self.send_response({status})
            self.end_headers()

    HTTPServer((host, port), Handler).serve_forever()
"""
"""The code of a model that serves by itself: each GET gives 200, each POST `{status}`."""


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[str], Path]:
    """Copies of the inputs of a build, each in a folder of its own name."""

    return lambda name: checkout_of(ROOT / "model", tmp_path / name)


@pytest.fixture
def root(checkout: Callable[[str], Path]) -> Path:
    return checkout("checkout")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "modelstack"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """An S3, a registry and a KMS of moto, whose server takes seconds to import."""
    from moto.kms.utils import ECDSAPrivateKey
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with mock.patch.object(ECDSAPrivateKey, "sign", _signed_as_it_is):
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


def _signed_as_it_is(key: Any, digest: bytes, _: str) -> bytes:
    """Sign a digest as KMS does: moto does not look at MessageType, and hashes it once more."""
    return key.private_key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def checkout_of(model: Path, root: Path) -> Path:
    shutil.copytree(model, root / "model", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "requirements", root / "requirements")
    return root


@pytest.fixture(scope="session")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout_of(
        ROOT / "packages/modelstack/tests" / "pipeline" / "daily", tmp_path_factory.mktemp("daily") / "checkout"
    )


@pytest.fixture
def own_daily(daily: Path, tmp_path: Path) -> Path:
    unmade = shutil.ignore_patterns(".modelstack", "__pycache__")
    return Path(shutil.copytree(daily, tmp_path / "checkout", ignore=unmade))


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    """A checkout with the wine model, which has few optional parts."""
    return checkout_of(ROOT / "packages/modelstack/tests" / "e2e" / "wine", tmp_path / "wine")


@pytest.fixture(scope="session")
def champion(daily: Path) -> SealedPackage:
    """The small model, trained on twenty days."""
    return build(daily, recipe(daily, {}), progress=lambda _: None)


def resealed(sealed: SealedPackage, folder: Path, change: Callable[[Path], None]) -> SealedPackage:
    """The package with other content, sealed again."""
    archive.unpack(sealed.path, folder / "inside")
    change(folder / "inside")
    manifest = json.loads((folder / "inside" / "manifest.json").read_text())
    found = {
        one.relative_to(folder / "inside").as_posix(): one
        for one in (folder / "inside").rglob("*")
        if one.is_file() and one.name != "manifest.json"
    }
    manifest["files"] = {name: archive.package_digest(one).removeprefix("sha256:") for name, one in found.items()}
    to = folder / "model.tar.gz"
    archive.seal({**found, "manifest.json": canonical(manifest).encode()}, to)
    return describe(to)


def append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def appending(name: str, text: str) -> Callable[[Path], None]:
    """A change of an unpacked package: more code in a file of the model."""
    return lambda inside: append(inside / "code" / "model" / name, f"\n{text}\n")


@pytest.fixture
def clients(moto_url: str) -> Clients:
    session = boto3.Session("test", "test", region_name="us-east-1")
    return cache(partial(session.client, endpoint_url=moto_url))


@pytest.fixture
def place(clients: Clients) -> str:
    """A new bucket and model package group of this name."""
    name = f"retraining-{uuid4().hex[:12]}"
    clients("s3").create_bucket(Bucket=name)
    clients("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return name


@pytest.fixture
def run(place: str, clients: Clients, champion: SealedPackage, tmp_path: Path) -> Callable[..., Report]:
    """Retrains a champion, each time in a new folder."""

    def made(through: str, sealed: SealedPackage = champion, said: Callable[[str], None] = lambda _: None, **more: Any):
        work = tmp_path / uuid4().hex
        work.mkdir()
        asked = replace(job(sealed, place, through), **more)

        here = at(
            modelstack.platforms.aws.package_registry.registry(
                place, place, asked.champion["image_uri"], clients, KeyPair.new()
            )
        )
        return retrain(asked, sealed.path, work, here, progress=said)

    return made


def job(sealed: SealedPackage, place: str, through: str) -> Job:
    facts = {"package_digest": sealed.digest, "manifest_sha256": sealed.manifest_sha256, "recipe": sealed.recipe}
    known = {**facts, "archive_uri": "s3://b/champion/model.tar.gz", "image_uri": IMAGE}
    where = {"bucket": place, "group": place, "region": "us-east-1", "signing_key": "alias/signing"}
    return Job(through, known, {}, **where, report="retraining/j/report.json")
