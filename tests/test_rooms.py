"""Who may import what: the rooms of docs/design.md, and which files may know the cloud."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY = {
    "model": set(),
    "pipeline": {"model", "monitoring"},
    "rollout": set(),
    "retraining": {"rollout"},
    "monitoring": {"rollout", "retraining"},
    "infra": {"model", "pipeline", "rollout", "retraining", "monitoring"},
    "localcloud": set(),
    "ops": {"model", "pipeline", "rollout", "retraining", "monitoring", "localcloud"},
    "bench": {"model", "pipeline", "rollout", "retraining", "monitoring", "infra", "localcloud", "ops"},
}
PURE = {"baseline", "bulk", "conformal", "performance", "quality", "reference"}
CLOUD = {"boto3", "botocore"}
ADAPTERS = {
    "pipeline/retrain.py",
    "rollout/aws.py",
    "rollout/captured.py",
    "rollout/cloudwatch.py",
    "rollout/sagemaker.py",
    "retraining/aws.py",
    "monitoring/aws.py",
    "monitoring/batches.py",
    "monitoring/table.py",
    "monitoring/transient.py",
    "monitoring/handlers/",
}
PULUMI = {"pulumi", "pulumi_aws"}


def imports(room: str) -> Iterator[tuple[str, str]]:
    """Each file of a room, with the first name of what it imports."""
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [room if node.level else node.module or ""]  # no relative name leaves its room
            yield from ((path.relative_to(ROOT).as_posix(), name.split(".")[0]) for name in names)


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_the_rooms_that_it_may(room: str) -> None:
    rooms = {*MAY, "tests"} - {room}
    assert {(file, name) for file, name in imports(room) if name in rooms - MAY[room]} == set()


def test_the_pipeline_takes_nothing_of_monitoring_but_its_pure_statistics() -> None:
    taken: set[str] = set()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            taken |= {name for name in names if name.split(".")[0] == "monitoring"}
    assert taken <= {f"monitoring.{name}" for name in PURE}


@pytest.mark.parametrize("room", ["model", "pipeline", "rollout", "retraining", "monitoring"])
def test_only_adapters_know_the_clouds_sdk_and_nothing_there_knows_pulumi(room: str) -> None:
    for file, name in imports(room):
        assert name not in PULUMI, f"{file} imports {name}"
        assert name not in CLOUD or file.startswith(tuple(ADAPTERS)), f"{file} imports {name}, and is no adapter"


def test_the_page_on_design_tells_the_same_rules() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    for room in MAY.keys() - {"bench"}:
        assert f"| `{room}/` |" in page


def test_the_page_on_design_names_every_module_of_the_rooms_that_decide() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    for room in ("rollout", "monitoring", "retraining"):
        for path in (ROOT / room).glob("*.py"):
            assert path.stem == "__init__" or f"`{path.stem}`" in page, f"{room}/{path.name}"
