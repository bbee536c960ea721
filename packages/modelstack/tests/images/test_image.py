"""`make image`: what it builds from, and what it says where there is no engine."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.container import Engine, image_tag, lay_out, lay_out_training
from modelstack.cli.local.imported import imported, names_in
from modelstack.cli.local.wheels import wheels
from modelstack.pipeline.locks import locked
from modelstack.pipeline.project import SOURCES
from modelstack.pipeline.steps import PIPELINE
from tests.process import printed, python

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def some_wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "some wheels"
    folder.mkdir()
    (folder / "a-1-py3-none-any.whl").write_bytes(b"wheel")
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PATH": "/nowhere"}, "no Docker engine: there is no `docker` command on PATH"),
        ({"PATH": "{bin}"}, "no Docker engine answers: Cannot connect to the Docker daemon"),
    ],
)
def test_without_an_engine_it_says_what_runs_instead(tmp_path: Path, change: dict[str, str], said: str):
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    docker.chmod(0o755)
    done = python(
        "-m", "modelstack.cli.local.image", **{name: value.format(bin=tmp_path) for name, value in change.items()}
    )
    assert done.returncode == 1
    assert said in done.stdout
    assert "the local stack runs the same entry point as a process" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_failing_step_of_the_engine_is_told_with_its_last_words(tmp_path: Path):
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho building\necho 'no space left on device' >&2\nexit 1\n")
    docker.chmod(0o755)
    with pytest.raises(OperatorError, match=r"(?s)docker build failed: building.*no space left on device"):
        Engine(str(docker)).build(tmp_path, "name", "base")


@pytest.mark.parametrize("buildx", [True, False])
def test_a_build_makes_one_docker_manifest_whatever_builder_the_client_has(tmp_path: Path, buildx: bool):
    """BuildKit makes OCI manifests from 0.31 on (`DefaultOCITypes`), and an index where there are attestations."""
    docker = tmp_path / "docker"
    code = 0 if buildx else 1
    docker.write_text(f'#!/bin/sh\n[ "$1" = buildx ] && exit {code}\necho "$DOCKER_BUILDKIT $@" > {tmp_path}/asked\n')
    docker.chmod(0o755)
    Engine(str(docker)).build(tmp_path, "name", "base")
    kit, *asked = (tmp_path / "asked").read_text().split()
    wanted = {"--provenance=false", "--sbom=false", "type=docker,oci-mediatypes=false"}
    assert (kit, wanted & {*asked}) == (("1", wanted) if buildx else ("0", set()))
    assert asked[-1] == str(tmp_path), "the context comes last"


def test_the_context_holds_all_that_the_dockerfile_copies_and_nothing_else(tmp_path: Path, some_wheels: Path):
    lay_out(ROOT, some_wheels, tmp_path / "context")
    copied = re.findall(
        r"^COPY (?!--)(\S+)", (ROOT / "packages/modelstack/src/modelstack/serving/Dockerfile").read_text(), re.MULTILINE
    )
    assert {path.name for path in (tmp_path / "context").iterdir()} == {"Dockerfile", *copied}


def test_the_training_context_holds_all_that_its_dockerfile_copies_and_all_that_a_job_lays_out(
    tmp_path: Path, some_wheels: Path
):
    lay_out_training(ROOT, some_wheels, tmp_path / "context")
    copied = re.findall(
        r"^COPY (?!--)(\S+)",
        (ROOT / "packages/modelstack/src/modelstack/pipeline/Dockerfile").read_text(),
        re.MULTILINE,
    )
    assert {path.name for path in (tmp_path / "context").iterdir()} == {"Dockerfile", *copied}
    checkout = tmp_path / "context/checkout"
    assert {path.name for path in checkout.iterdir()} == {"modelstack", "requirements"}, "no model is in the image"
    parts = {"platforms", "rollout", "services", "pipeline", "monitoring", "records", "serving"}
    assert {path.name for path in (checkout / "modelstack").iterdir()} == {"__init__.py", "forms.py", *parts}
    steps = [one.program.partition(":")[0] for one in PIPELINE.steps if one.name not in {"train", "evaluate"}]
    modules = ", ".join(
        [
            "modelstack.platforms.aws.jobs.retrain",
            "modelstack.pipeline.run",
            "modelstack.platforms.aws.kms_signer",
            *steps,
        ]
    )
    code = f"import {modules}, sys; sys.exit('model' in sys.modules or 'modelstack.rollout.core.state' in sys.modules)"
    printed(code, cwd=checkout)
    found = sorted((checkout / "modelstack" / "platforms").rglob("*.py"))
    places = [path.relative_to(checkout).with_suffix("") for path in found]
    code = f"import importlib\nfor name in {['.'.join(path.parts) for path in places]}: importlib.import_module(name)"
    printed(code, cwd=checkout)


def test_what_trains_has_the_libraries_of_the_steps_that_sign_and_register_on_either_platform():
    files = imported(SOURCES, "modelstack.platforms.steps")
    taken = {name.partition(".")[0] for path in files.values() for name in names_in(path)}
    libraries = taken - sys.stdlib_module_names - {name.partition("/")[0] for name in files}
    assert {"boto3", "httpx", "yaml"} <= libraries
    named = {{"yaml": "pyyaml"}.get(name, name) for name in libraries}
    assert named <= locked(ROOT / "requirements/training.txt").keys()


def test_the_training_context_holds_the_teams_data_files(some_wheels: Path, tmp_path: Path):
    root = tmp_path / "checkout"
    root.mkdir()
    for folder in ("model", "requirements"):
        (root / folder).symlink_to(ROOT / folder)

    def tag() -> str:
        shutil.rmtree(tmp_path / "context", ignore_errors=True)
        lay_out_training(root, some_wheels, tmp_path / "context")
        return image_tag(tmp_path / "context", "base")

    without = tag()
    (root / "data/2024").mkdir(parents=True)
    (root / "data/2024/orders.csv").write_text("id,label\n1,0\n")
    first = tag()
    assert (tmp_path / "context/checkout/data/2024/orders.csv").read_text() == "id,label\n1,0\n"
    (root / "data/2024/orders.csv").write_text("id,label\n1,1\n")
    assert len({without, first, tag()}) == 3, "other data make another image"


def test_the_dockerfile_installs_with_hashes_from_no_index_and_leaves_the_user_to_the_platform():
    text = (ROOT / "packages/modelstack/src/modelstack/serving/Dockerfile").read_text()
    assert "--no-index" in text
    assert "--require-hashes" in text
    assert not [line for line in text.splitlines() if line.startswith("USER")], "SageMaker documents root only"


def test_a_tag_names_what_an_image_is_made_from(tmp_path: Path, some_wheels: Path):
    lay_out(ROOT, some_wheels, tmp_path / "one")
    lay_out(ROOT, some_wheels, tmp_path / "two")
    assert image_tag(tmp_path / "one", "base") == image_tag(tmp_path / "two", "base")
    assert image_tag(tmp_path / "one", "base") != image_tag(tmp_path / "one", "other base")
    (tmp_path / "two/runtime/modelstack/serving/worker.py").write_text("changed")
    assert image_tag(tmp_path / "one", "base") != image_tag(tmp_path / "two", "base")


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["serving", "training"])
def test_the_wheels_are_those_of_the_lock_and_are_downloaded_once(name: str):
    said: list[str] = []
    folder = wheels(ROOT, name, "3.11", said.append)
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE)
    found = {tuple(path.name.split("-")[:2]) for path in folder.glob("*.whl")}
    assert found == {(package.replace("-", "_"), version) for package, version in locked}
    assert not [path.name for path in folder.iterdir() if path.suffix != ".whl"]
    said.clear()
    assert wheels(ROOT, name, "3.11", said.append) == folder
    assert said == []


@pytest.mark.e2e
def test_a_wheel_with_another_hash_than_the_lock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "requirements/serving.txt").write_text(f"h11==0.16.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(OperatorError, match="the wheels cannot be downloaded"):
        wheels(tmp_path, "serving", "3.11", print)
    assert not list((tmp_path / "cache/modelstack").iterdir())
