"""Rules that lie in the cluster become files of Prometheus."""

from __future__ import annotations

from pathlib import Path

from localcloud.cluster import processes
from localcloud.cluster.listing import keep
from localcloud.cluster.rule_files import files


def test_a_map_has_a_file_for_each_key_that_is_yaml() -> None:
    maps = [
        {"metadata": {"namespace": "a", "name": "rules"}, "data": {"x.yml": "groups: []", "y.yaml": "y", "notes": "n"}},
        {"metadata": {"namespace": "b", "name": "rules"}, "data": {"x.yml": "other"}},
        {"metadata": {"namespace": "b", "name": "empty"}},
    ]
    assert files(maps) == {
        "configmap.a.rules.x.yml": "groups: []",
        "configmap.a.rules.y.yml": "y",
        "configmap.b.rules.x.yml": "other",
    }


def test_a_file_is_written_once_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    assert [keep(file, "a"), keep(file, "a"), keep(file, "b")] == [True, False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["rules.yml"]
    assert file.read_text() == "b"


def test_two_programs_of_python_are_two() -> None:
    """Each would else be taken for the other, and ended in its place."""
    names = ("rule_files", "discovery", "alert_routes")
    rules, *others = (("/bin/python", "-m", f"localcloud.cluster.{name}", "pki") for name in names)
    assert len({processes._identity(one) for one in (rules, *others)}) == len(names)
    assert processes._identity(rules) == processes._identity((*rules[:3], "elsewhere"))
    assert processes._identity(("/bin/etcd", "--a")) == processes._identity(("/bin/etcd", "--b"))
