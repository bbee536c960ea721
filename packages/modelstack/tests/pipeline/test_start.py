"""What was sealed starts: with the libraries of the serving lock alone, and with the system libraries of the image."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from modelstack.pipeline.build import StepFailed, build
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.recipe import recipe
from modelstack.pipeline.shared_objects import check_system_libraries, debian_package, needed
from modelstack.pipeline.start import check_start, serving_environment
from tests.pipeline.conftest import OWN_SERVER, ROOT, append, resealed

NUMPY = Path(str(metadata.distribution("numpy").locate_file("")))
COMPILED = next((NUMPY / "numpy" / "_core").glob("_multiarray_umath*.so"))


@pytest.mark.e2e
def test_a_build_whose_model_needs_a_package_outside_of_the_serving_lock_is_refused_and_says_where_to_declare_it(
    wine: Path, tmp_path: Path
):
    append(wine / "model" / "serving.py", "import yaml\nfrom modelstack.serving.sealed import predict\n")
    form = {"kind": "classification", "classes": ["class_0", "class_1", "class_2"], "decision": "prediction"}
    (wine / "model" / "answer.json").write_text(json.dumps({**form, "probability": "probability"}))
    said: list[str] = []
    with pytest.raises(StepFailed) as failed:
        build(wine, recipe(wine, {}), workdir=tmp_path / "work", progress=said.append)
    assert str(failed.value) == (
        "seal refused: the package does not start in the serving image: model/serving.py, line 1 needs the module "
        "yaml, which is in no package of requirements/serving.txt: add pyyaml to requirements/serving.in, and run "
        "`make lock` and `make setup`"
    )
    assert (failed.value.refused, any(line.startswith("evaluate: accuracy") for line in said)) == (True, True)


@pytest.mark.slow
def test_the_serving_environment_has_the_locked_packages_and_no_other(tmp_path: Path):
    serving_environment(ROOT, tmp_path / "venv")

    def imports(module: str) -> bool:
        command = [tmp_path / "venv" / "bin" / "python", "-P", "-c", f"import {module}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    names = ("numpy", "onnxruntime", "google.protobuf", "pandas", "yaml", "sklearn")
    assert [name for name in names if imports(name)] == ["numpy", "onnxruntime", "google.protobuf"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("status", "said"), [(200, ""), (500, r"POST /invocations with the sealed example gave 500, expected 200")]
)
def test_a_server_of_the_models_own_has_to_answer_the_example(
    champion: SealedPackage, tmp_path: Path, status: int, said: str
):
    def change(inside: Path) -> None:
        (inside / "code" / "model" / "serving.py").write_text(OWN_SERVER.replace("{status}", str(status)))
        manifest = json.loads((inside / "manifest.json").read_text())
        (inside / "manifest.json").write_text(json.dumps({**manifest, "server": "own"}))

    _starts(resealed(champion, tmp_path, change), tmp_path / "start", said)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", ""),
        (
            "import modelstack.pipeline.forms\n",
            "needs modelstack.pipeline, and the image has only modelstack.serving",
        ),
        ("raise ValueError('no weights')\n", r"the server ended with status 3: .*ValueError: no weights"),
    ],
)
def test_a_package_that_fails_at_its_start_is_refused_with_the_cause(
    champion: SealedPackage, tmp_path: Path, code: str, said: str
):
    package = resealed(champion, tmp_path, lambda inside: append(inside / "code" / "model" / "serving.py", f"\n{code}"))
    _starts(package, tmp_path / "start", said)


def _starts(package: SealedPackage, folder: Path, said: str) -> None:
    if not said:
        check_start(ROOT, package, folder)
        return
    with pytest.raises(Refusal, match=rf"model/serving\.py, line .*{said}|the sealed model: {said}"):
        check_start(ROOT, package, folder)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages with compiled code that needs a library which is not bundled."""
    (tmp_path / "site").mkdir()
    shutil.copy(COMPILED, tmp_path / "site")
    (tmp_path / "serving.apt").write_text("# none\n")
    return tmp_path / "site"


def bundled(file: Path) -> Path:
    """The library that a wheel of NumPy brings along."""
    return next(path for path in (NUMPY / "numpy.libs").iterdir() if path.name in needed(file))


def test_a_library_that_neither_the_wheel_nor_the_image_has_is_named_with_its_debian_package(site: Path):
    assert {"libc.so.6", "libm.so.6"} <= set(needed(COMPILED))
    name = bundled(COMPILED).name
    with pytest.raises(Refusal) as refused:
        check_system_libraries(site.parent, site)
    assert f"{COMPILED.name} needs {name}, which Debian has in {debian_package(name)}" in str(refused.value)
    assert "requirements/serving.apt, and run `make image`" in str(refused.value)


@pytest.mark.parametrize("how", ["bundled", "package", "library"])
def test_a_library_that_is_bundled_or_declared_is_none_that_is_missing(site: Path, how: str):
    library = bundled(COMPILED)
    if how == "bundled":
        shutil.copytree(NUMPY / "numpy.libs", site / "numpy.libs")
    else:
        name = debian_package(library.name) if how == "package" else library.name
        (site.parent / "serving.apt").write_text(f"{name}  # of {library.name}\n")
    check_system_libraries(site.parent, site)


@pytest.mark.parametrize(
    ("library", "package"),
    [("libgomp.so.1", "libgomp1"), ("libGL.so.1", "libgl1"), ("libX11.so.6", "libx11-6"), ("libcurl.so.4", "libcurl4")],
)
def test_debian_names_a_package_by_its_library(library: str, package: str):
    assert debian_package(library) == package


def test_a_file_that_is_no_shared_object_needs_nothing(tmp_path: Path):
    (tmp_path / "notes.so").write_text("")
    assert needed(tmp_path / "notes.so") == []
