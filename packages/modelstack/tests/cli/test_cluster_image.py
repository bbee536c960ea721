"""The images for Kubernetes: built once for each content, pushed once, and what the controller's is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.local import cluster_image
from modelstack.cli.local.cluster_image import published
from modelstack.cli.local.container import (
    CONTROLLER,
    CONTROLLER_PROGRAM,
    DEBIAN_BASE,
    SERVING,
    controller_files,
    lay_out_controller,
)
from modelstack.cli.local.imported import imported, names_in
from modelstack.platforms.kubernetes.oci import MANIFEST_TYPE, Manifest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
BUILDAH = """#!/bin/sh
case $1 in
images) for word; do name=${word#reference=}; done; grep -qx "$name" images && echo "sha256:id" ;;
build) while [ $# -gt 1 ]; do [ "$1" = --tag ] && echo "$2" >> images; shift; done; echo build >> did ;;
push) echo "push $*" >> did ;;
esac
exit 0
"""
"""Knows the images that it has built, and no others but Debian's base."""


class Registered:
    """A repository in which `buildah push` puts a manifest for each tag."""

    repositories: dict[str, dict[str, Manifest]]

    def __init__(self, place: str) -> None:
        self._tags = self.repositories.setdefault(place, {})

    @classmethod
    def of(cls, place: str) -> Registered:
        return cls(place)

    def manifest(self, tag: str) -> Manifest | None:
        pushed = f":{tag}\n" in (Path("did").read_text() if Path("did").exists() else "")
        return Manifest(f"sha256:{tag}", MANIFEST_TYPE, tag.encode()) if pushed else self._tags.get(tag)

    def put_manifest(self, content: bytes, media_type: str, tag: str) -> None:
        self._tags[tag] = Manifest(f"sha256:{content.decode()}", media_type, content)


@pytest.fixture
def repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Manifest]]:
    """What was pushed and tagged, by place: of a machine with buildah and the base."""
    program = tmp_path / "buildah"
    program.write_text(BUILDAH)
    program.chmod(0o755)
    (tmp_path / "images").write_text(f"localhost/{DEBIAN_BASE}\n")
    (tmp_path / "wheels").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(cluster_image, "project_root", lambda: ROOT)
    monkeypatch.setattr(cluster_image, "project_root", lambda: ROOT)
    monkeypatch.setattr(cluster_image, "wheels", lambda *_: tmp_path / "wheels")
    monkeypatch.setattr(cluster_image, "OciRepository", Registered)
    monkeypatch.setattr(Registered, "repositories", {}, raising=False)
    return Registered.repositories


def test_an_image_is_built_and_pushed_once_and_latest_means_the_last(
    repositories: dict[str, dict[str, Manifest]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    first = published("registry.example/team", said.append)
    assert published("registry.example/team", said.append) == first
    assert [line.split()[0] for line in said[:4]] == ["building", "pushing"] * 2
    assert all(line.endswith("is there already") for line in said[4:])
    changed = tmp_path / "changed.py"
    changed.write_text("x = 1\n")
    monkeypatch.setattr("modelstack.cli.local.container.controller_files", lambda: {"changed.py": changed})
    second = published("registry.example/team", said.append)
    assert (second["serving"] == first["serving"], second["controller"] == first["controller"]) == (True, False)
    place = "registry.example/team/controller"
    assert f"{place}@{repositories[place]['latest'].digest}" == second["controller"]
    assert (tmp_path / "did").read_text().splitlines().count("build") == 3


@pytest.mark.parametrize(
    ("registry", "plain", "login"),
    [("127.0.0.1:5000/team", True, True), ("registry.example/team", False, True), ("registry.example", False, False)],
)
def test_a_registry_is_reached_with_dockers_login_and_without_tls_only_on_this_machine(
    repositories: dict[str, dict[str, Manifest]], tmp_path: Path, registry: str, plain: bool, login: bool
) -> None:
    if login:
        (tmp_path / "config.json").write_text("{}")
    published(registry, lambda text: None, (SERVING,))
    pushed = (tmp_path / "did").read_text()
    assert ("--tls-verify=false" in pushed, f"--authfile {tmp_path}/config.json" in pushed) == (plain, login)
    assert f"docker://{registry}/serving:" in pushed


def test_without_buildah_it_is_named_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OperatorError, match="buildah") as refused:
        published("registry.example/team", print)
    assert "apt-get install buildah" in str(refused.value.hint)


def test_a_failing_step_is_named_with_its_last_words(
    repositories: dict[str, dict[str, Manifest]], tmp_path: Path
) -> None:
    (tmp_path / "buildah").write_text("#!/bin/sh\necho step >&2\necho 'no space left on device' >&2\nexit 1\n")
    with pytest.raises(OperatorError, match=r"(?s)buildah images failed: step.*no space left on device"):
        published("registry.example/team", print, (CONTROLLER,))


def test_the_controller_starts_from_its_files_alone(tmp_path: Path) -> None:
    for name, path in controller_files().items():
        to = tmp_path / "runtime" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    program = f"import {CONTROLLER_PROGRAM} as main; print(main.__file__); raise SystemExit(main.main())"
    # The project is installed editable here; the image's folder comes first, as it does there.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "runtime"), "NAMESPACE": "No Namespace"}
    run = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert run.stdout.startswith(str(tmp_path / "runtime"))
    assert "NAMESPACE is 'No Namespace'" in run.stdout


def test_the_controllers_lock_has_the_libraries_that_it_imports_and_no_cloud() -> None:
    text = (ROOT / "requirements" / "controller.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    needed = {"cryptography": "cryptography", "httpx": "httpx", "pg8000": "pg8000", "starlette": "starlette"}
    needed |= {"uvicorn": "uvicorn", "yaml": "pyyaml"}
    files = controller_files()
    names = {name.partition(".")[0] for path in files.values() for name in names_in(path)}
    ours = {name.partition("/")[0] for name in files}
    assert names - ours - sys.stdlib_module_names == needed.keys()
    assert set(needed.values()) <= locked
    assert not {"boto3", "numpy", "pulumi", "scikit-learn"} & locked


def test_its_build_context_has_what_its_dockerfile_asks_for(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    lay_out_controller(ROOT, tmp_path / "wheels", tmp_path / "context")
    copied = re.findall(r"^COPY (?!--)(\S+)", (tmp_path / "context" / "Dockerfile").read_text(), re.MULTILINE)
    assert {"runtime", "controller.txt", "wheels"} == set(copied)
    assert all((tmp_path / "context" / name).exists() for name in copied)
    assert (
        tmp_path / "context" / "runtime" / "modelstack" / "platforms" / "kubernetes" / "program" / "__main__.py"
    ).is_file()
    assert not (tmp_path / "context" / "runtime" / "modelstack" / "platforms" / "aws").exists()
    assert (tmp_path / "context" / "runtime" / "monitoring" / "metrics.py").is_file(), "the project's own metrics"


def test_what_a_program_imports_is_found_through_functions_and_packages(tmp_path: Path) -> None:
    for name, text in {
        "a/__init__.py": "", "a/b.py": "def f():\n    from a.c import d\n", "a/c/__init__.py": "import os\n",
        "a/c/d.py": "", "a/e.py": "", "f.py": "from a import b\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(imported(tmp_path, "f")) == ["a/__init__.py", "a/b.py", "a/c/__init__.py", "a/c/d.py", "f.py"]
    assert list(imported(tmp_path, "f", without=("a.c",))) == ["a/__init__.py", "a/b.py", "f.py"]
    with pytest.raises(ValueError, match="no module g"):
        imported(tmp_path, "g")
