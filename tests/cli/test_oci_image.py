"""Images made without an engine: the same content gives the same bytes, and they run as the Dockerfiles say."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cli.errors import OperatorError
from cli.local import oci_image
from cli.local.container import CONTROLLER_PROGRAM, controller_files, lay_out_controller
from cli.local.dockerfile import run_as
from cli.local.imported import imported, names_in
from cli.local.layers import Layer, layer, of_root
from cli.local.libraries import compile_all, install
from cli.local.oci_image import CONTROLLER, PYTHON, SERVING, image
from platforms.kubernetes.oci import Registry, pinned
from tests.platforms.kubernetes.real_registry import running

ROOT = Path(__file__).resolve().parents[2]


def tree(folder: Path, *, mode: int = 0o644, at: float = 1e9) -> dict[str, Path]:
    """Some files and a link, as a layer names them."""
    folder.mkdir()
    for name in ("b.py", "a.py", "run"):
        (folder / name).write_text(f"# {name}\n")
        (folder / name).chmod(mode | (0o100 if name == "run" else 0))
        os.utime(folder / name, (at, at))
    (folder / "link").symlink_to("/usr/bin/python3")
    return {
        "opt/x/b.py": folder / "b.py",
        "opt/x/y/a.py": folder / "a.py",
        "bin/run": folder / "run",
        "l": folder / "link",
    }


def members(made: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(made.path) as tar:
        return {member.name: member for member in tar}


def test_the_same_files_give_the_same_bytes_in_any_folder_at_any_time(tmp_path: Path) -> None:
    one = layer(tmp_path / "1" / "a.gz", tree(tmp_path / "one"))
    two = layer(tmp_path / "2" / "other.gz", dict(reversed(tree(tmp_path / "two", mode=0o600, at=2e9).items())))
    assert one.path.read_bytes() == two.path.read_bytes()
    assert (one.digest, one.diff_id, one.size) == (two.digest, two.diff_id, two.size)
    assert list((tmp_path / "1").iterdir()) == [one.path]


def test_a_layer_tells_its_own_digests(tmp_path: Path) -> None:
    made = layer(tmp_path / "a.gz", tree(tmp_path / "files"))
    content = made.path.read_bytes()
    assert made.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert made.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(content)).hexdigest()}"
    assert made.size == len(content)


def test_files_are_roots_and_folders_come_before_what_is_in_them(tmp_path: Path) -> None:
    found = members(layer(tmp_path / "a.gz", tree(tmp_path / "files")))
    assert list(found) == ["bin", "bin/run", "l", "opt", "opt/x", "opt/x/b.py", "opt/x/y", "opt/x/y/a.py"]
    assert {(one.uid, one.gid, one.uname, one.mtime) for one in found.values()} == {(0, 0, "", 0)}
    assert [oct(found[name].mode) for name in ("bin", "bin/run", "opt/x/b.py")] == ["0o755", "0o755", "0o644"]
    assert found["l"].linkname == "/usr/bin/python3"


def test_a_root_keeps_owners_modes_and_links_and_loses_times_devices_and_what_is_the_makers(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, content in (
            ("./z", tarfile.REGTYPE, b"same"), ("./a", tarfile.LNKTYPE, b""), ("./dev/null", tarfile.CHRTYPE, b""),
            ("./etc/hostname", tarfile.REGTYPE, b"builder"), ("./tmp", tarfile.DIRTYPE, b""),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.mtime, entry.uid, entry.mode = kind, len(content), 77, 5, 0o1777
            entry.linkname = "./z" if kind == tarfile.LNKTYPE else ""
            tar.addfile(entry, io.BytesIO(content))
    made = of_root(tmp_path / "root.gz", packed.getvalue(), ["etc/hostname"])
    found = members(made)
    assert list(found) == ["a", "tmp", "z"]
    assert {(one.uid, one.mode, one.mtime) for one in found.values()} == {(5, 0o1777, 0)}
    with tarfile.open(made.path) as tar:
        assert [tar.extractfile(name).read() for name in ("a", "z")] == [b"same", b"same"]  # type: ignore[union-attr]


def wheel(path: Path, files: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_a_wheel_is_unpacked_and_its_commands_are_not(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    files = {
        "a/__init__.py": "",
        "a-1.data/scripts/a": "#!python",
        "a-1.data/purelib/b.py": "",
        "a-1.dist-info/RECORD": "",
    }
    wheel(tmp_path / "wheels" / "a-1-py3-none-any.whl", {**files, "../outside.py": "", "/outside.py": ""})
    install(tmp_path / "wheels", tmp_path / "to")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["to/a-1.dist-info/RECORD", "to/a/__init__.py", "to/b.py", "wheels/a-1-py3-none-any.whl"]


def test_a_wheel_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_text("no zip")
    with pytest.raises(OperatorError, match="is no wheel"):
        install(tmp_path, tmp_path / "to")


def test_what_is_compiled_names_the_place_in_the_image_and_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("def f():\n    return 1\n")
        assert compile_all(tmp_path / name, "/opt/runtime", f"{sys.version_info.major}.{sys.version_info.minor}")
    one, two = (next((tmp_path / name).rglob("*.pyc")).read_bytes() for name in ("one", "two"))
    assert one == two
    assert b"/opt/runtime/a.py" in one
    assert not compile_all(tmp_path / "one", "/opt/runtime", "2.7")


def test_an_image_is_run_as_its_dockerfile_says() -> None:
    serving = run_as((ROOT / SERVING.dockerfile).read_text())
    assert serving["Entrypoint"] == ["/opt/venv/bin/python", "-P", "-m", "serving"]
    assert serving["Cmd"] == ["serve"]
    assert (serving["User"], serving["ExposedPorts"]) == ("1000:1000", {"8080/tcp": {}})
    assert serving["Labels"] == {"com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true"}
    controller = run_as((ROOT / CONTROLLER.dockerfile).read_text())
    assert controller["Entrypoint"] == [
        "/opt/venv/bin/python",
        "-P",
        "-m",
        CONTROLLER_PROGRAM.removesuffix(".__main__"),
    ]
    assert (controller["User"], controller["ExposedPorts"]) == ("10001:10001", {"8081/tcp": {}})
    for run in (serving, controller):
        assert {"PYTHONPATH=/opt/runtime", "BIND_HOST=0.0.0.0"} <= set(run["Env"])
        assert run["Env"][0].startswith("PATH=/opt/venv/bin:/usr/local/sbin:")


@pytest.mark.parametrize("kind", [SERVING, CONTROLLER])
def test_the_dockerfile_puts_libraries_and_code_where_an_image_without_an_engine_has_them(kind: oci_image.Kind) -> None:
    text = (ROOT / kind.dockerfile).read_text()
    assert f"COPY runtime /{oci_image._RUNTIME}\n" in text
    assert f"opt/venv/lib/python{PYTHON}/site-packages" == oci_image._PACKAGES
    assert "COPY --from=libraries /opt/venv /opt/venv\n" in text


def test_an_instruction_that_is_not_understood_is_named() -> None:
    with pytest.raises(ValueError, match="VOLUME /data, which is not understood"):
        run_as("FROM a\nRUN x\nFROM b\nVOLUME /data\n")


def test_the_manifest_is_of_its_content_alone(tmp_path: Path) -> None:
    made = layer(tmp_path / "a.gz", tree(tmp_path / "files"))
    one, two = image((made,), {"User": "1"}, "x86_64"), image((made,), {"User": "1"}, "x86_64")
    assert (one.manifest, one.digest) == (two.manifest, two.digest)
    assert image((made,), {"User": "2"}, "x86_64").digest != one.digest
    manifest, config = json.loads(one.manifest), json.loads(one.config)
    assert manifest["config"]["digest"] == f"sha256:{hashlib.sha256(one.config).hexdigest()}"
    assert manifest["layers"] == [{**made.descriptor}]
    assert config == {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": "1"},
        "rootfs": {"type": "layers", "diff_ids": [made.diff_id]},
    }


@pytest.mark.needs("registry")
def test_an_image_is_pulled_by_its_digest_and_pushed_once(tmp_path: Path) -> None:
    one = image((layer(tmp_path / "a.gz", tree(tmp_path / "files")),), {"User": "1"}, "x86_64")
    two = image(one.layers, {"User": "2"}, "x86_64")
    said: list[str] = []
    with running(tmp_path / "registry") as host:
        place = f"{host}/team/serving"
        names = [oci_image.push(each, place, said.append) for each in (one, one, two)]
        registry = Registry.of(place)
        found, latest = registry.manifest(one.digest), registry.manifest("latest")
        assert found is not None
        assert found.content == one.manifest
        for descriptor in (found.value()["config"], *found.value()["layers"]):
            registry.download(descriptor["digest"], tmp_path / "blob")
        pinned_now = pinned(place)
    assert latest is not None
    assert names == [f"{place}@{one.digest}"] * 2 + [f"{place}@{two.digest}"]
    assert (latest.digest, pinned_now) == (two.digest, names[-1])
    assert [line.split()[0] for line in said] == ["pushing", f"{place}@{one.digest}", "pushing"]


def test_the_controller_starts_from_its_files_alone(tmp_path: Path) -> None:
    for name, path in controller_files(ROOT).items():
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
    files = controller_files(ROOT)
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
    assert (tmp_path / "context" / "runtime" / "platforms" / "kubernetes" / "program" / "__main__.py").is_file()
    assert not (tmp_path / "context" / "runtime" / "platforms" / "aws").exists()


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
