"""`modelstack new`: what it writes, and what it refuses before anything is written."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import pytest
import yaml
from click.testing import CliRunner, Result

from localcloud.setup import Places, applied
from modelstack.cli.init import locks, new_model, project, template
from modelstack.cli.main import main
from modelstack.pipeline.outline import broken
from modelstack.pipeline.pack import SealedPackage
from modelstack.program.config.settings import Settings
from tests.cli.test_init import boosted, frame

ROOT = Path(__file__).resolve().parents[4]
OF_THE_ROOT = project.Project(
    "modelstack",
    root=True,
    description="A model registry, SageMaker endpoints with canaries, drift alarms and rollbacks.",
)


def new(*words: str) -> Result:
    return CliRunner().invoke(main, ["new", *words])


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git/" not in str(path))
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(found)}


@pytest.mark.parametrize("platform", project.PLATFORMS)
def test_a_team_owns_fewer_than_20_files_and_reads_fewer_than_300_lines(tmp_path: Path, platform: str) -> None:
    done = new("churn", "--platform", platform, "--dir", str(tmp_path / "churn"))
    assert done.exit_code == 0, done.output
    found = files(tmp_path / "churn")
    assert len(found) < 20
    assert all(name in done.output for name in found)
    assert sum(len(text.splitlines()) for name, text in found.items() if not name.startswith("requirements/")) < 300
    assert len(found["infra/__main__.py"].splitlines()) <= 40
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in found.values())
    assert not [name for name, text in found.items() if "<<" in text or "<%" in text or "jinja" in name]
    assert broken(tmp_path / "churn") == []
    assert "make " not in "".join(found.values()), "a team has no Makefile"


@pytest.mark.parametrize("platform", project.PLATFORMS)
@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_the_config_of_each_stack_is_valid(
    tmp_path: Path, platform: str, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.create(project.Project("churn", platform), tmp_path / "churn", project.add_example)
    monkeypatch.chdir(tmp_path / "churn")
    written = yaml.safe_load((tmp_path / f"churn/stacks/Pulumi.{stack}.yaml").read_text())["config"]
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in written.items()}
    settings = Settings.load(given, stack)
    assert (settings.model.name, settings.platform) == ("churn", platform)
    assert settings.promotion.source == {"staging": "dev", "prod": "staging"}.get(stack)


def test_the_root_of_this_repository_is_what_it_would_write_and_the_packages(tmp_path: Path) -> None:
    made = OF_THE_ROOT.files()
    for name in (".github/workflows/preview.yml", ".github/workflows/promote.yml", ".github/workflows/retrain.yml"):
        assert (ROOT / name).read_bytes() == made[name], f"{name}: write it by the template"
    for name in ("Pulumi.yaml", "infra/__main__.py"):
        assert (ROOT / name).read_bytes() == made[name]
    assert {*made[".gitignore"].decode().split()} <= {*(ROOT / ".gitignore").read_text().split()}
    project.add_example(tmp_path)
    of_the_model = [f"model/{path.name}" for path in (tmp_path / "model").iterdir()]
    for name in (*made, *of_the_model):
        if not name.startswith("tests/"):
            assert (ROOT / name).is_file(), name
    assert (ROOT / "tests" / "model").is_dir()
    for name in (name for name in made if name.startswith("stacks/")):
        ours, theirs = (yaml.safe_load(text)["config"] for text in ((ROOT / name).read_bytes(), made[name]))
        assert theirs.keys() <= ours.keys(), name


def test_the_locks_hold_names_versions_and_hashes_and_the_versions_of_this_repository() -> None:
    of_this = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE))
    for name in (*project.PLATFORMS, "serving"):
        text = locks.lock(name).decode()
        assert "://" not in text
        held = dict(re.findall(r"^(\S+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE))
        assert len(held) == text.count("==") and held.items() <= of_this.items()
        assert not {"pulumi-modelstack", "localcloud-ml"} & held.keys()
    app, serving = ({*locks.blocks(locks.lock(name).decode())} for name in ("aws", "serving"))
    assert serving < app
    assert "pulumi-kubernetes" not in locks.lock("aws").decode()
    assert "pulumi-aws" not in locks.lock("kubernetes").decode()


def test_the_locks_are_of_the_groups_that_a_project_has(tmp_path: Path) -> None:
    for platform in project.PLATFORMS:
        groups = tomllib.loads(project.Project("churn", platform).files()["pyproject.toml"].decode())[
            "dependency-groups"
        ]
        asked = {re.split(r"[\[=]", one)[0] for one in (*groups["app"], *groups["serving"]) if isinstance(one, str)}
        assert asked <= {block.split("==")[0] for block in locks.blocks(locks.lock(platform).decode())}
        assert groups["library"][1] == f"pulumi-modelstack[{platform},console,training]=={version('pulumi-modelstack')}"


@pytest.mark.parametrize("name", ["Churn", "1st", "a b", "churn-", "", "a" * 25, "../up", "my.model"])
def test_a_bad_name_is_named_with_what_is_allowed_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    done = new("--dir", str(tmp_path / "to"), "--", name)
    assert done.exit_code == 2
    assert f"NAME: found {name!r}; expected 1 to 24 lower-case letters, digits and hyphens" in done.output
    assert not (tmp_path / "to").exists()


def test_a_platform_that_has_no_template_is_named_with_those_that_have(tmp_path: Path) -> None:
    done = new("churn", "--platform", "vertex", "--dir", str(tmp_path / "to"))
    assert done.exit_code == 2
    assert "'--platform': 'vertex' is not one of 'aws', 'kubernetes'" in " ".join(done.output.split())
    assert not (tmp_path / "to").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("ours")
    done = new("churn", "--dir", str(tmp_path))
    assert done.exit_code == 2
    assert f"--dir: found {tmp_path} with notes.txt; expected a new folder" in done.output.replace("\n", " ")
    assert files(tmp_path) == {"notes.txt": "ours"}
    done = new("churn", "--dir", str(tmp_path / "notes.txt"))
    assert done.exit_code == 2 and "--dir: found the file" in done.output


def test_an_empty_git_repository_with_an_environment_is_a_place_for_a_project(tmp_path: Path) -> None:
    for name in (".git", ".venv"):
        (tmp_path / name).mkdir()
    assert new("churn", "--dir", str(tmp_path)).exit_code == 0
    assert (tmp_path / "Pulumi.yaml").exists()


@pytest.mark.parametrize("before", [True, False])
def test_a_failure_leaves_nothing(tmp_path: Path, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    to = tmp_path / "to"
    if before:
        (to / ".git").mkdir(parents=True)
    rename = Path.rename

    def full(path: Path, other: Path) -> Path:
        if other.name == "model":
            raise OSError(28, "No space left on device")
        return rename(path, other)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        project.create(project.Project("churn"), to, project.add_example)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ([".git", "to"] if before else [])


def test_a_column_without_an_estimator_and_an_estimator_without_one_are_refused(tmp_path: Path) -> None:
    to = str(tmp_path / "to")
    assert "--label goes with --from" in new("churn", "--label", "y", "--dir", to).output
    given = [tmp_path / "churn.joblib", tmp_path / "churn.csv"]
    for path in given:
        path.touch()
    done = new("churn", "--from", *map(str, given), "--dir", to)
    assert done.exit_code == 2 and "needs --label" in done.output
    assert not (tmp_path / "to").exists()


def test_a_table_as_the_estimator_is_refused_with_what_is_allowed_there(tmp_path: Path) -> None:
    table = tmp_path / "churn.csv"
    table.touch()
    to = ["--dir", str(tmp_path / "to")]
    for words in (
        ["new", "churn", "--from", str(table), "--label", "y", *to],
        ["new", "churn", "--from", str(table), str(table), "--label", "y", *to],
        ["model", "init", str(table), str(table), "--label", "y"],
    ):
        done = CliRunner().invoke(main, words)
        said = " ".join(done.output.split())
        assert done.exit_code == 2
        place = "--from" if words[0] == "new" else "argument FILE"
        assert f"{place}: found the table {table}; expected a fitted" in said
        assert "joblib.dump" in said and "FILE.onnx" in said
    assert not (tmp_path / "to").exists()


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A fitted estimator and its table, of which nothing is really built."""

    def built(folder: Path, recipe: Any, **_: Any) -> SealedPackage:
        assert (folder / "requirements" / "app.txt").read_bytes() == locks.lock("aws")
        return SealedPackage(Path("/kept/model.tar.gz"), "", "", {"accuracy": 0.9, "log_loss": 0.2}, recipe)

    monkeypatch.setattr(new_model, "build", built)
    joblib.dump(boosted(), tmp_path / "churn.joblib")
    frame().drop(columns="since").to_csv(tmp_path / "churn.csv", index=False)
    return ["--from", str(tmp_path / "churn.joblib"), str(tmp_path / "churn.csv"), "--label", "churned"]


def test_it_starts_from_a_fitted_estimator(tmp_path: Path, given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = new("churn", *given, "--id", "customer", "--dir", "to")
    assert done.exit_code == 0, done.output
    to = tmp_path / "to"
    made = {path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file()}
    assert made - {*project.Project("churn").files()} == {
        *(f"model/{name}.py" for name in ("__init__", "data", "sources", "training")),
        *("model/estimator.pickle", "model/example_request.json", "data/churn.csv"),
    }
    config = yaml.safe_load((to / "stacks/Pulumi.dev.yaml").read_text())["config"]
    assert config["modelstack:model"] == {
        "name": "churn",
        "gates": {"accuracy": {"min": 0.88}, "log_loss": {"max": 0.24}},
    }


def test_a_table_without_the_label_leaves_nothing(tmp_path: Path, given: list[str]) -> None:
    done = new("churn", *given[:-1], "gone", "--dir", str(tmp_path / "to"))
    assert done.exit_code == 2 and "found no column 'gone' for --label" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["churn.csv", "churn.joblib"]


@pytest.mark.e2e
@pytest.mark.parametrize("platform", project.PLATFORMS)
def test_pulumi_new_writes_the_same_from_the_template(tmp_path: Path, platform: str) -> None:
    template.main(tmp_path / "template", platform)
    environment = {**applied(Places.of(ROOT)), "PULUMI_BACKEND_URL": tmp_path.as_uri()}

    def pulumi(*words: str) -> str:
        ran = subprocess.run(
            ["pulumi", *words], cwd=tmp_path, env=environment, check=True, timeout=300, capture_output=True, text=True
        )
        return ran.stdout

    words = ("--name", "churn", "--description", "Who leaves?", "--dir", "churn", "--generate-only", "--offline")
    pulumi("new", str(tmp_path / "template"), *words, "--yes", "--non-interactive")
    made = project.Project("churn", platform, "Who leaves?")
    project.create(made, tmp_path / "other", project.add_example)
    found, wanted = files(tmp_path / "churn"), files(tmp_path / "other")
    assert found.keys() == wanted.keys()
    for name in found:
        if not name.endswith(".yaml"):  # in which Pulumi ends each value with a line break
            assert found[name] == wanted[name]
            continue
        shown, expected = yaml.safe_load(found[name]), yaml.safe_load(wanted[name])
        if name == "Pulumi.yaml":
            assert shown.pop("config") == {"pulumi:tags": {"value": {"pulumi:template": str(tmp_path / "template")}}}
        assert shown == expected
    for folder in ("churn", "other"):
        pulumi("stack", "init", "local", "--cwd", folder, "--non-interactive")
        config = json.loads(pulumi("config", "--json", "--stack", "local", "--cwd", folder))
        assert config["modelstack:model"]["objectValue"]["name"] == "churn"
        pulumi("stack", "rm", "local", "--yes", "--preserve-config", "--cwd", folder)


def test_hints_name_the_commands_that_a_project_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.create(project.Project("churn"), tmp_path / "churn", project.add_example)
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.chdir(tmp_path / "churn")
    said = CliRunner().invoke(main, ["status"]).stderr
    assert 'eval "$(localcloud env)"' in said and "make" not in said
    monkeypatch.chdir(ROOT)
    assert 'eval "$(make -s env)"' in CliRunner().invoke(main, ["status"]).stderr
