"""Who may import what: the rooms of docs/explanation/design.md."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY = {
    "audit": set(),
    "model": {"serving"},
    "serving": set(),
    "pipeline": {"model", "serving", "monitoring", "provenance"},
    "provenance": set(),
    "rollout": {"audit"},
    "retraining": {"audit", "rollout", "monitoring"},
    "monitoring": {"rollout"},
    "tracking": {"provenance", "rollout"},
    "services": {"audit", "pipeline", "provenance", "rollout", "monitoring", "retraining", "serving", "tracking"},
    "platforms": {
        *("audit", "model", "pipeline", "provenance", "rollout", "monitoring", "retraining", "serving", "tracking"),
        "services",
    },
    "infra": {
        *("audit", "model", "pipeline", "provenance", "rollout", "monitoring", "retraining", "serving"),
        *("platforms", "services", "tracking"),
    },
    "policy": set(),
    "localcloud": set(),
    "cli": {
        *("audit", "model", "pipeline", "provenance", "rollout", "monitoring", "retraining", "serving", "platforms"),
        *("localcloud", "policy", "services", "tracking"),
    },
    "bench": {
        *(
            "audit",
            "model",
            "pipeline",
            "provenance",
            "rollout",
            "monitoring",
            "retraining",
            "services",
            "serving",
            "tracking",
            "platforms",
            "infra",
            "localcloud",
            "cli",
            "demos",
        )
    },
    "demos": {
        *("audit", "model", "pipeline", "provenance", "rollout", "monitoring", "retraining", "serving", "platforms"),
        *("localcloud", "cli"),
    },
}
PURE = {"bulk", "statistics", "drift.reference"} | {
    f"labels.{pure}" for pure in ("baseline", "concept", "performance", "quality", "reach")
}
CLOUD = {"boto3", "botocore"}
PULUMI = {"pulumi", "pulumi_aws", "pulumi_kubernetes", "pulumi_policy"}


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the rooms, by its dotted name."""
    return {
        ".".join(path.relative_to(top).with_suffix("").parts): path
        for room in MAY
        for top in [ROOT / "localcloud" / "src" if room == "localcloud" else ROOT]
        for path in sorted((top / room).rglob("*.py"))
    }


@functools.cache
def tree(path: Path) -> ast.Module:
    """What a file says."""
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path) -> set[str]:
    """The dotted names that a file imports; of `from a import b` both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:  # no relative name leaves its room
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def first_names(room: str) -> set[tuple[str, str]]:
    """Each file of a room, with the first name of what it imports."""
    return {
        (path.relative_to(ROOT).as_posix(), name.partition(".")[0])
        for module, path in modules().items()
        if module.partition(".")[0] == room
        for name in imports(path)
    }


def circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """Names that lead back to themselves; none when all arrows run one way."""
    left = {name: set(to) - {name} for name, to in arrows.items()}
    while ends := [name for name, to in left.items() if not to & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_the_rooms_that_it_may(room: str) -> None:
    rooms = {*MAY, "tests"} - {room}
    assert {(file, name) for file, name in first_names(room) if name in rooms - MAY[room]} == set()


def test_no_files_and_no_folders_import_each_other_in_a_circle() -> None:
    known = modules()
    files = {module: imports(path) & known.keys() for module, path in known.items()}
    assert circle(files) == []

    def place(module: str) -> str:
        """The folder of a module, or the module itself where it lies at the top of its room."""
        parts = module.split(".")
        return ".".join(parts[:2])

    folders: dict[str, set[str]] = {}
    for module, to in files.items():
        folders.setdefault(place(module), set()).update(place(name) for name in to)
    assert circle(folders) == []


def test_circles_are_found() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a"]}) == ["a", "b", "c", "d"]
    assert circle({"a": ["b", "a"], "b": []}) == []


def test_the_pipeline_takes_nothing_of_monitoring_but_its_pure_statistics() -> None:
    taken = {
        name
        for module, path in modules().items()
        if module.startswith("pipeline.")
        for name in imports(path)
        if name in modules() and name.startswith("monitoring.")
    }
    assert {name for name in taken if not name.startswith(tuple(f"monitoring.{pure}" for pure in PURE))} == set()


@pytest.mark.parametrize(
    "room", ["audit", "model", "serving", "pipeline", "provenance", "rollout", "retraining", "monitoring", "tracking"]
)
def test_only_platforms_know_the_clouds_sdk_and_only_the_program_knows_pulumi(room: str) -> None:
    assert {(file, name) for file, name in first_names(room) if name in CLOUD | PULUMI} == set()


def test_only_the_pack_knows_the_engine_and_no_rule_does() -> None:
    assert {(file, name) for file, name in first_names("policy") if name in CLOUD | PULUMI} == {
        ("policy/pack.py", "pulumi_policy")
    }


def test_no_engine_comes_along_with_what_is_taken_of_the_policies() -> None:
    taken = {name for module, path in modules().items() if module.startswith("cli.") for name in imports(path)}
    assert {name for name in taken if name in modules() and name.startswith("policy.")} == {
        f"policy.{name}" for name in ("documents", "permissions", "principals", "tokens")
    }


def test_no_module_bears_the_name_of_a_room() -> None:
    shadows = [module for module in modules() if module.rpartition(".")[2] in MAY and "." in module]
    assert shadows == ["model.serving"], "which is what a model gives to that room"


def test_the_page_on_design_tells_the_same_rules() -> None:
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    for room in MAY.keys() - {"bench", "demos"}:
        assert f"| `{room}/` |" in page


def test_the_page_on_design_names_every_folder_of_the_rooms() -> None:
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    for room in ("rollout", "monitoring", "retraining", "platforms", "infra"):
        for path in (ROOT / room).glob("*/*.py"):
            assert f"`{path.parent.name}/`" in page, f"{room}/{path.parent.name}"


NAMED = {
    "monitoring.published": r"[A-Z][a-z]+[A-Z]\w+",
    "platforms.aws.metrics": r"AWS/\w+|Invocation\w*|ModelLatency|ApproximateNumber\w+|\w+Name",
    "services.declaration.alarm_names": r"5xx",
    "platforms.aws.names": r"\w+-rejected",
}
"""The homes of names in the cloud, and which of their texts stand for nothing else."""
ASKED_OF_AWS = {"EndpointName", "VariantName", "FunctionName"}
"""Dimensions that are parameters of AWS's operations too, which the program never calls."""


def strings(path: Path) -> set[str]:
    """The texts in the code of a file, and the parts of formatted ones, without the slashes at their ends."""
    texts = {node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)}
    return {text.strip("/") for text in texts if isinstance(text, str)}


def test_a_name_in_the_cloud_is_written_in_its_home_alone() -> None:
    named = {
        text
        for home, pattern in NAMED.items()
        for text in strings(modules()[home])
        if re.fullmatch(pattern, text) and text != "MetricName"
    }
    assert {"DriftEvidence", "ProbeSuccess", "AWS/SageMaker", "VariantName", "5xx", "capture-rejected"} <= named
    elsewhere = {
        (module, text)
        for module, path in modules().items()
        if module.partition(".")[0] in {"monitoring", "platforms", "infra", "cli", "bench", "demos"}
        and module not in NAMED
        for text in named & strings(path)
        if text not in ASKED_OF_AWS or module.startswith("infra.")
    }
    assert elsewhere == set()


FACE = ("localcloud.process", "localcloud.setup", "localcloud.testing")
"""What the local cloud's README calls its public face."""


def test_nothing_of_the_local_cloud_is_used_but_its_public_face() -> None:
    users = [path for room in (*MAY, "tests") if room != "localcloud" for path in (ROOT / room).rglob("*.py")]
    taken = {name for path in users for name in imports(path) if name.startswith("localcloud.")}
    deep = {name for name in taken if name.startswith("localcloud.setup.") and name.count(".") > 2}
    assert taken
    assert {name for name in taken if not name.startswith(FACE)} | deep == set()


def test_the_local_cloud_names_nothing_of_this_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    listed = subprocess.run(["git", "ls-files", "localcloud"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = [file for file in listed.stdout.split() if project in (ROOT / file).read_text(errors="replace").lower()]
    assert named == []
