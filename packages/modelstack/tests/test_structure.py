"""What the contracts of import-linter in pyproject.toml cannot express about packages and names."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = ROOT / "packages" / "modelstack" / "src"
FOLDERS = frozenset(path.parent.name for path in ROOT.glob("*/__*__.py"))
"""Those of the root with code: of the project, and its demos and benches."""
PACKAGES = frozenset(path.parent.name for path in SOURCES.glob("modelstack/*/__init__.py"))
"""The library's subpackages."""


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the library and of the root's folders, by its dotted name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for root, folders in ((ROOT, FOLDERS), (SOURCES, {"modelstack"}))
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
        if ".venv" not in path.parts
    }


@functools.cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """The dotted names that a file imports; of `from a import b` both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_every_package_is_checked_by_each_tool() -> None:
    tools = PROJECT["tool"]
    packages = {folder for folder in FOLDERS if (ROOT / folder / "__init__.py").exists()}
    assert {*tools["importlinter"]["root_packages"]} == packages | {"localcloud", "modelstack"}
    checked = FOLDERS | {"monitoring", "packages/modelstack/src"}
    assert {*tools["vulture"]["paths"]} == {*tools["pyrefly"]["project-includes"]} == checked


def test_no_module_has_the_name_of_a_package() -> None:
    packages = {*FOLDERS, "localcloud", "modelstack"}
    assert [module for module in modules() if module.rpartition(".")[2] in packages and "." in module] == []


def test_the_page_on_design_names_every_package_and_their_folders() -> None:
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    for package in {*FOLDERS, *PACKAGES, "packages/localcloud"}:
        assert f"`{package}/`" in page
    for package in ("rollout", "monitoring", "records", "platforms", "program"):
        for path in (SOURCES / "modelstack" / package).glob("*/*.py"):
            assert f"`{path.parent.name}/`" in page, f"{package}/{path.parent.name}"


NAMED = {
    "modelstack.monitoring.published": r"[A-Z][a-z]+[A-Z]\w+",
    "modelstack.platforms.aws.metrics": r"AWS/\w+|Invocation\w*|ModelLatency|ApproximateNumber\w+|\w+Name",
    "modelstack.services.declaration.alarm_names": r"5xx",
    "modelstack.platforms.aws.names": r"\w+-rejected",
}
"""The homes of names in the cloud, and which of their texts stand for nothing else."""
ASKED_OF_AWS = {"EndpointName", "VariantName", "FunctionName"}
"""Dimensions that are parameters of AWS's operations too, which the program never calls."""


def strings(path: Path) -> set[str]:
    """The texts in the code of a file, and the parts of formatted ones, without the slashes at their ends."""
    texts = {node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)}
    return {text.strip("/") for text in texts if isinstance(text, str)}


@pytest.mark.slow
def test_a_name_in_the_cloud_is_written_in_its_home_alone() -> None:
    named = {
        text
        for home, pattern in NAMED.items()
        for text in strings(modules()[home])
        if re.fullmatch(pattern, text) and text != "MetricName"
    }
    assert {"DriftEvidence", "ProbeSuccess", "AWS/SageMaker", "VariantName", "5xx", "capture-rejected"} <= named
    users = {"monitoring", "services", "platforms", "program", "cli", "bench", "demos"}
    elsewhere = {
        (module, text)
        for module, path in modules().items()
        if module.removeprefix("modelstack.").partition(".")[0] in users and module not in NAMED
        for text in named & strings(path)
        if text not in ASKED_OF_AWS or module.startswith("modelstack.program.")
    }
    assert elsewhere == set()


FACE = ("localcloud.genuine", "localcloud.process", "localcloud.setup", "localcloud.testing")
"""What the local cloud's README calls its public face."""


@pytest.mark.slow
def test_nothing_of_the_local_cloud_is_used_but_its_public_face() -> None:
    users = [*modules().values(), *(ROOT / "packages" / "modelstack" / "tests").rglob("*.py")]
    taken = {name for path in users for name in imports(path) if name.startswith("localcloud.")}
    deep = {name for name in taken if name.startswith("localcloud.setup.") and name.count(".") > 2}
    assert taken
    assert {name for name in taken if not name.startswith(FACE)} | deep == set()


def test_the_local_cloud_names_nothing_of_this_project() -> None:
    project = PROJECT["project"]["name"]
    listed = subprocess.run(
        ["git", "ls-files", "packages/localcloud"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    named = [file for file in listed.stdout.split() if project in (ROOT / file).read_text(errors="replace").lower()]
    assert named == []
