"""The project is the nearest folder with Pulumi.yaml, wherever the library's own sources are."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstack.pipeline.project import NoProject, project_root


def test_the_project_is_found_from_any_folder_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "project" / "services" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "project" / "Pulumi.yaml").touch()
    monkeypatch.chdir(inner)
    assert project_root() == (tmp_path / "project").resolve()
    (inner.parent / "Pulumi.yaml").touch()
    assert project_root() == inner.parent.resolve(), "the nearest one"
    assert project_root(inner.parents[1]) == (tmp_path / "project").resolve()


def test_outside_a_project_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoProject, match=rf"^{tmp_path} is not in a project: .* has a Pulumi\.yaml$"):
        project_root(tmp_path)
