"""`modelstack watch --next` waits for the release that the program itself would begin, and for no other."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelstack.cli import next_release
from modelstack.cli.errors import OperatorError
from modelstack.cli.main import main
from modelstack.cli.platform.aws.platform import Aws
from modelstack.cli.retrain import Retraining
from modelstack.cli.target import Target
from modelstack.monitoring.retraining.record import Candidate, RetrainingRecord
from modelstack.platforms.aws.names import Names
from modelstack.program.aws.stack_now import StackNow, image_for
from modelstack.program.config.settings import Settings
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import wish

ROOT = Path(__file__).resolve().parents[4]
IMAGE = "111122223333.dkr.ecr.us-east-1.amazonaws.com/flight-delay-dev@sha256:" + "a" * 64
OTHER = IMAGE.replace("a" * 64, "b" * 64)
SOURCE = {"recipe": "c" * 64, "image_uri": OTHER, "platform": "aws"}
CANDIDATE = Candidate("2013-06-16", "b" * 64, "b" * 12, {}, "drift")


def config_of_file(parameters: dict[str, Any]) -> dict[str, Any]:
    """Region and model of stack `local` as Pulumi reads them, with other parameters."""
    content = yaml.safe_load((ROOT / "stacks" / "Pulumi.local.yaml").read_text(encoding="utf-8"))["config"]
    content["modelstack:model"]["parameters"] |= parameters
    return {name: content[name] for name in ("aws:region", "modelstack:model")}


def pulumi(folder: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pulumi CLI that prints a config, as the real one does."""
    told = {name: {"value": "", "objectValue": item, "secret": False} for name, item in config.items()}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "pulumi").write_text(f'#!/bin/sh\n[ "$1" = config ] && exec /bin/cat {folder}/config.json\nexit 1\n')
    (folder / "pulumi").chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PULUMI_BACKEND_URL", folder.as_uri())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")


def serves(monkeypatch: pytest.MonkeyPatch, release: dict[str, str] | None) -> None:
    monkeypatch.setattr(next_release, "resolve", lambda name: Target(name, "e", "us-east-1", {}))
    champion = release and SimpleNamespace(as_dict=lambda: release)
    monkeypatch.setattr(Aws, "champion", lambda _: champion)


@pytest.mark.parametrize(
    ("stack", "parameters", "more", "candidate"),
    [
        ("local", {"max_iter": 80}, {}, None),
        ("local", {}, {}, CANDIDATE),
        ("dev", {}, {"modelstack:serving": {"image": IMAGE}}, None),
        ("prod", {}, {"modelstack:promotion": {"from": "staging"}}, None),
        ("prod", {}, {"modelstack:promotion": {"from": "staging"}, "modelstack:serving": {"image": IMAGE}}, CANDIDATE),
        ("local-staging", {}, {"modelstack:promotion": {"from": "local"}}, None),
    ],
)
def test_it_is_the_release_that_the_program_finds(  # noqa: PLR0917 - one parameter per case
    stack: str,
    parameters: dict[str, Any],
    more: dict[str, Any],
    candidate: Candidate | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {**config_of_file(parameters), **more}
    pulumi(tmp_path, config, monkeypatch)
    monkeypatch.setattr("modelstack.cli.retrain.look", lambda _: Retraining(RetrainingRecord(), candidate, None))
    serves(monkeypatch, SOURCE)

    names = Names("flight-delay", stack, "111122223333", "us-east-1")
    source = SOURCE if "modelstack:promotion" in more else None
    texts = {name: item if isinstance(item, str) else json.dumps(item) for name, item in config.items()}
    settings = Settings.load(texts, stack)
    image = image_for(settings.serving.image, names, source)
    assert image is not None
    provider: Any = None
    known = {"source": source, "candidate": None if source else candidate}
    now = StackNow(names=names, state=RolloutState("e"), image=image, provider=provider, **known)
    assert next_release.id_of(Target(stack, "e", "us-east-1", {})) == now.wanted(settings).id


def test_while_a_release_is_restored_it_is_that_one_whatever_the_checkout_has(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = Reason("person", "ada", "it sold more")
    wanted = Restored("3f0c", "c" * 64, "sha256:cd", "s3://bucket/key", OTHER, reason, 2.0, 1.0)
    monkeypatch.setattr(next_release, "journal_state", lambda _: RolloutState("e", restored=wanted))
    monkeypatch.setattr(next_release, "config_of", lambda _: pytest.fail("nobody asks the config"))
    assert next_release.id_of(Target("local", "e", "us-east-1", {"journal_table": "rollouts"})) == "3f0c"


def test_promote_says_what_serves_there_and_runs_pulumi_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pulumi(tmp_path, config_of_file({}) | {"modelstack:promotion": {"from": "local"}}, monkeypatch)
    serves(monkeypatch, SOURCE | {"id": "3f0c", "package_digest": "sha256:cd"})
    script = (tmp_path / "pulumi").read_text().replace("exit 1", 'echo "ran: $@"; exit 7')
    (tmp_path / "pulumi").write_text(script)
    monkeypatch.setattr(next_release, "if_up", lambda _: None)
    done = CliRunner().invoke(main, ["promote", "local-staging", "--yes"])
    assert done.exit_code == 1
    assert "local serves release 3f0c, sha256:cd; local-staging takes it" in done.stderr
    assert "ran: up --stack local-staging --yes --non-interactive" in capfd.readouterr().out


def test_promote_takes_nothing_while_a_release_is_restored_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(tmp_path, config_of_file({}) | {"modelstack:promotion": {"from": "local"}}, monkeypatch)
    monkeypatch.setattr(
        next_release, "if_up", lambda name: Target(name, "e", "us-east-1", {"journal_table": "rollouts"})
    )
    monkeypatch.setattr(next_release, "journal_state", lambda _: RolloutState("e", restored=wish()))
    done = CliRunner().invoke(main, ["promote", "local-staging", "--yes"])
    assert done.exit_code == 1
    told = " ".join(done.stderr.split())
    assert "takes nothing while release 3f0c is restored there: asked for by ada: it sold more" in told
    assert "modelstack --stack local-staging restore --clear" in told


def test_without_a_stack_an_image_another_to_take_from_or_a_champion_there_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperatorError, match="reads the config of a stack"):
        next_release.id_of(Target("", "e", "us-east-1", {}))
    config = config_of_file({})
    pulumi(tmp_path, config, monkeypatch)
    done = CliRunner().invoke(main, ["promote", "local"])
    assert (done.exit_code, "modelstack:promotion.from is not set" in done.stderr) == (2, True)
    with pytest.raises(OperatorError, match=r"modelstack:serving\.image is not set"):
        next_release.id_of(Target("dev", "e", "us-east-1", {}))
    pulumi(tmp_path, config | {"modelstack:promotion": {"from": "staging"}}, monkeypatch)
    serves(monkeypatch, None)
    with pytest.raises(OperatorError, match=r"stack acme/flights/staging, .* has no champion to take"):
        next_release.id_of(Target("acme/flights/prod", "e", "us-east-1", {}))
