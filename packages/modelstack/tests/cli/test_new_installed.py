"""`modelstack new --from` locks the versions that are installed here, with which the estimator was fitted."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import pytest
from click.testing import CliRunner, Result

from bench.fresh import wheels
from localcloud.setup import SetupFailed
from modelstack.cli.init import installed, locks, new_model, project
from modelstack.cli.main import main
from modelstack.pipeline.inputs import differences
from modelstack.pipeline.locks import locked, to_add, to_install
from modelstack.pipeline.pack import SealedPackage
from tests.cli.test_init import boosted, frame

OLDER = "0.19.0"
"""A version of msgspec that no lock of ours has."""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Result]:
    """Make a project of a fitted estimator, without training; its model is built only with the locked libraries."""

    def built(folder: Path, recipe: Any, **_: Any) -> SealedPackage:
        assert differences(folder) == []
        return SealedPackage(Path("/kept/model.tar.gz"), "", "", {"accuracy": 0.9}, recipe)

    monkeypatch.setattr(new_model, "build", built)
    joblib.dump(boosted(), tmp_path / "churn.joblib")
    frame().drop(columns=["since", "customer"]).to_csv(tmp_path / "churn.csv", index=False)
    given = [str(tmp_path / name) for name in ("churn.joblib", "churn.csv")]
    words = ["new", "churn", "--from", *given, "--label", "churned", "--dir", str(tmp_path / "to")]
    return lambda: CliRunner().invoke(main, words)


def install(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Let packages be installed in other versions, or not at all."""
    version = metadata.version
    found = {one.name: one.version for one in metadata.distributions()} | versions

    def version_of(name: str) -> str:
        if versions.get(name, "") is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or version(name)

    here = [SimpleNamespace(name=name, version=one) for name, one in found.items() if one is not None]
    monkeypatch.setattr(metadata, "version", version_of)
    monkeypatch.setattr(metadata, "distributions", lambda: here)


def relock(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lock without uv: each locked package in the version that the constraints have; returns the constraints."""
    constraints: list[str] = []

    def lock(places: Any, _: Any, more: tuple[Any, ...]) -> None:
        constraints[:] = Path(more[1]).read_text().split()
        wanted = dict(line.split("==") for line in constraints)
        named = [one for group in ("app", "serving") for one in places.groups[group] if isinstance(one, str)]
        for name in project.LOCKS:
            held = {**locked(places.lock(name)), **{one: "0" for one in named if name == "app"}}
            lines = (f"{one}=={wanted.get(one, version)} --hash=sha256:00\n" for one, version in held.items())
            places.lock(name).write_text("".join(lines))

    monkeypatch.setattr("localcloud.setup.lock", lock)
    return constraints


def locks_of(folder: Path) -> dict[str, dict[str, str]]:
    return {name: locked(folder / "requirements" / f"{name}.txt") for name in project.LOCKS}


def test_other_versions_than_the_shipped_ones_are_locked(
    tmp_path: Path, make: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, msgspec=OLDER)
    constraints = relock(monkeypatch)
    done = make()
    assert done.exit_code == 0, done.output
    assert f"msgspec=={OLDER}" in constraints
    assert f"locked in the versions that are installed here: msgspec {OLDER}\n" in done.stderr
    assert [versions["msgspec"] for versions in locks_of(tmp_path / "to").values()] == [OLDER, OLDER]


def test_the_shipped_locks_stay_where_their_versions_are_installed(
    tmp_path: Path, make: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    constraints = relock(monkeypatch)
    assert make().exit_code == 0
    assert (tmp_path / "to/requirements/app.txt").read_bytes() == locks.lock("aws")
    assert constraints == []


def test_a_library_that_only_the_estimator_needs_is_named_and_locked(
    tmp_path: Path, make: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = locks.lock

    def without(name: str) -> bytes:
        blocks = locks.blocks(whole(name).decode())
        return "".join(one for one in blocks if not one.startswith("scikit-learn==")).encode()

    monkeypatch.setattr(locks, "lock", without)
    relock(monkeypatch)
    done = make()
    assert done.exit_code == 0, done.output
    groups = tomllib.loads((tmp_path / "to/pyproject.toml").read_text())["dependency-groups"]
    assert groups["app"][1:] == ["pip", "pytest", "scikit-learn"]
    assert locks_of(tmp_path / "to")["app"]["scikit-learn"] == metadata.version("scikit-learn")


def test_a_project_that_cannot_be_locked_is_not_written(
    tmp_path: Path, make: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(*_: Any) -> None:
        raise SetupFailed("Lock requirements/app.txt failed: the package registry cannot be reached", "Check it.")

    install(monkeypatch, msgspec=OLDER)
    monkeypatch.setattr("localcloud.setup.lock", lock)
    done = make()
    assert done.exit_code == 1
    assert "the project cannot be locked in the versions that are installed here" in done.output
    assert "cannot be reached" in done.output and f"Check it. {installed.OTHERWISE}" in done.output
    assert not (tmp_path / "to").exists() and "make " not in done.output


def test_a_package_that_is_not_installed_is_named_with_what_installs_it(
    tmp_path: Path, make: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, onnx=None)
    done = make()
    wanted = shipped()["onnx"]
    assert done.exit_code == 1
    assert f"the build needs onnx=={wanted}" in done.output and f"Type: pip install onnx=={wanted}" in done.output
    assert not (tmp_path / "to").exists()


def shipped() -> dict[str, str]:
    return dict(block.split(" ")[0].split("==") for block in locks.blocks(locks.lock("aws").decode()))


@pytest.mark.e2e
def test_uv_locks_them_with_hashes(tmp_path: Path, make: Callable[[], Result], monkeypatch: pytest.MonkeyPatch) -> None:
    wheels(tmp_path / "wheels")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    install(monkeypatch, msgspec=OLDER)
    done = make()
    assert done.exit_code == 0, done.output
    found = (tmp_path / "to/requirements/serving.txt").read_text()
    assert f"msgspec=={OLDER} \\\n    --hash=sha256:" in found and "://" not in found
    versions = locks_of(tmp_path / "to")
    assert versions["serving"].items() <= versions["app"].items()
    assert {**shipped(), "msgspec": OLDER} == versions["app"]
    assert not (tmp_path / "to/.modelstack").exists()


def test_hints_of_a_build_in_a_linked_folder_are_those_of_the_project(tmp_path: Path) -> None:
    project.write(tmp_path / "project", project.Project("churn").files())
    (tmp_path / "built").mkdir()
    linked = tmp_path / "built" / "requirements"
    linked.symlink_to(tmp_path / "project" / "requirements")
    assert to_install(linked) == "pip install -r requirements/app.txt"
    assert "in pyproject.toml" in to_add(linked, "app", "lightgbm")
