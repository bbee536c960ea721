"""MLflow in the program: who is told, by whom, with which rights; and that no update waits for it or fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.program.config.settings import Settings
from modelstack.program.providers import mlflow as provider_module
from modelstack.program.providers.mlflow import MlflowProvider
from modelstack.records.provenance.evidence import Attestation, sign
from modelstack.records.provenance.facts import SealedArchive
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.sealed_packages import RegistryError
from tests.program.on_cluster import STACK, manifests, run_on_cluster
from tests.program.recorded import ACCOUNT, IMAGE, run_program, stack_config
from tests.program.refusals import refusal
from tests.records.provenance.conftest import FACTS
from tests.records.tracking.small_mlflow import SmallMlflow, small_mlflow

URL = "http://127.0.0.1:5000"
ARN = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:mlflow-tracking-server/team"
KEY = KeyPair.new()


# --- the config


@pytest.mark.parametrize(
    ("stack", "fields", "line"),
    [
        (
            "dev",
            {"server": URL, "managed": "app"},
            "server is given too; allowed is one of both",
        ),
        ("dev", {"secret": "team"}, 'mlflow.secret = "team": server is null; allowed is null'),
        ("dev", {"managed": "app", "secret": "a"}, "a managed MLflow is asked with AWS's credentials; allowed is null"),
        ("local", {"managed": "app"}, "the local cloud runs no MLflow; allowed is null, and for server the URL that"),
        ("local", {"server": ARN}, "the local cloud runs no MLflow; allowed is the URL that `make mlflow` prints"),
    ],
)
def test_what_does_not_go_together_is_told_with_the_field_and_what_is_allowed(
    stack: str, fields: dict[str, Any], line: str
) -> None:
    (told,) = refusal(stack, mlflow=fields)
    assert told.startswith("modelstack:mlflow.") and line in told


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"managed": "app"}, "a cluster has no credentials of AWS to ask it with; allowed is the URL of a server"),
        ({"server": ARN}, "a cluster has no credentials of AWS to ask it with; allowed is the URL of a server"),
        ({"server": URL, "secret": "Team/token"}, "allowed is the name of a Secret of the namespace"),
    ],
)
def test_a_cluster_takes_no_mlflow_of_aws(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(pulumi.RunError, match=line):
        Settings.load(stack_config(STACK, mlflow=fields), "prod")


# --- what is declared


def test_without_it_nothing_of_mlflow_is_declared() -> None:
    world = run_program()
    assert not world.all(":Mlflow")
    assert "MLFLOW_TRACKING_URI" not in world.function("advance")["environment"]["variables"]


def test_a_server_is_told_of_the_package_by_the_update_and_of_rollouts_by_the_advance_function_alone() -> None:
    world = run_program(mlflow={"server": URL})
    told = world.one(":Mlflow").inputs
    assert (told["server"], told["model"], told["experiment"]) == (URL, "flight-delay-local", "flight-delay-local")
    assert told["package_digest"] == world.rollout["desired_release"]["package_digest"]
    assert told["release"] == world.rollout["desired_release"]["id"]
    assert world.function("advance")["environment"]["variables"]["MLFLOW_TRACKING_URI"] == URL
    assert not [
        name for name in ("rollback", "drift", "labels") if "MLFLOW" in str(world.function(name)["environment"])
    ]  # fmt: skip
    waiting = [one.name for one in world.resources if any(urn.endswith("::mlflow") for urn in one.depends)]
    assert (world.one(":Mlflow").name, waiting) == ("mlflow", []), "nothing waits for MLflow"


def test_a_secret_is_read_by_name_and_no_other() -> None:
    world = run_program("dev", serving={"image": IMAGE}, mlflow={"server": "https://m.example", "secret": "ml/token"})
    (held,) = [one for one in world.may("advance") if one["Action"] == ["secretsmanager:GetSecretValue"]]
    assert held["Resource"] == [f"arn:aws:secretsmanager:{world.package['region']}:{ACCOUNT}:secret:ml/token-??????"]
    assert world.function("advance")["environment"]["variables"]["MLFLOW_SECRET"] == "ml/token"


@pytest.mark.parametrize("kind", ["app", "tracking_server"])
def test_a_managed_one_keeps_artifacts_in_its_own_folder_and_is_told_by_its_arn(kind: str) -> None:
    world = run_program("dev", serving={"image": IMAGE}, mlflow={"managed": kind})
    made = world.one({"app": ":MlflowApp", "tracking_server": ":MlflowTrackingServer"}[kind]).inputs
    assert made["artifactStoreUri"].endswith("/mlflow")
    writes = {place for one in world.allows("mlflow") for place in one["Resource"] if "s3:PutObject" in one["Action"]}
    assert {place.partition(":::")[2].partition("/")[2] for place in writes} == {"mlflow/*"}
    assert made.get("modelRegistrationMode", "AutoModelRegistrationDisabled") == "AutoModelRegistrationDisabled"
    assert made.get("automaticModelRegistration", False) is False
    arn = world.one(":Mlflow").inputs["server"]
    assert arn.startswith("arn:aws:sagemaker")
    (told,) = [one for one in world.may("advance") if "mlflow" in one["Action"][0].lower()]
    assert told["Resource"] == [arn] and not [one for one in told["Action"] if "*" in one]


def test_who_asks_an_app_may_call_it() -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:mlflow-app/app-1"
    world = run_program("dev", serving={"image": IMAGE}, mlflow={"server": arn})
    (call,) = [one for one in world.may("advance") if one["Action"] == ["sagemaker:CallMlflowAppApi"]]
    assert call["Resource"] == [arn]


def test_the_controller_in_a_cluster_is_told_where_mlflow_is_and_its_keys_stay_in_the_secret() -> None:
    declared = manifests(run_on_cluster(mlflow={"server": "http://mlflow.ml:5000", "secret": "mlflow"}))
    (container,) = declared["Deployment", CONTROLLER]["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one for one in container["env"] if one["name"].startswith("MLFLOW")}
    assert told["MLFLOW_TRACKING_URI"]["value"] == "http://mlflow.ml:5000"
    assert told["MLFLOW_TRACKING_TOKEN"]["valueFrom"]["secretKeyRef"] == {
        "name": "mlflow", "key": "token", "optional": True,
    }  # fmt: skip


# --- the provider


DOWN = "http://127.0.0.1:1"
OTHER = "f"
"""The package that lies where another was signed."""


def digest_of(name: str) -> str:
    return f"sha256:{name * 64}"


DIGEST = digest_of("7")


@dataclass
class Kept:
    gone: set[str] = field(default_factory=set)

    def evidence(self, archive_uri: str, public_key: bytes) -> Attestation:
        assert public_key == KEY.public_key
        name = archive_uri.split("/")[-2]
        if name in self.gone:
            raise RegistryError(f"{archive_uri} is gone")
        signed = "7" if name == OTHER else name
        return sign(replace(FACTS, package=SealedArchive(digest_of(signed), 1, "b" * 64)), KEY)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    made = Kept()
    origin = type("Origin", (), {"store": made})
    monkeypatch.setattr(provider_module, "origin_of", lambda props: origin)
    return made


@pytest.fixture
def known(kept: Kept) -> Iterator[SmallMlflow]:
    with small_mlflow() as made:
        yield made


def inputs(known: SmallMlflow, name: str = "7", **changes: Any) -> dict[str, Any]:
    return {
        "server": known.url,
        "experiment": "flights",
        "model": "flight-delay-local",
        "package_digest": digest_of(name),
        "archive_uri": f"s3://bucket/packages/{name}/model.tar.gz",
        "signed_by": KEY.public_key.decode(),
        "version": f"arn:{name}",
        "release": f"release-{name}",
        "region": "us-east-1",
        "urn": "urn:pulumi:local::modelstack::x::mlflow",
        "untold": None,
        "missed": None,
        **changes,
    }


def versions(known: SmallMlflow) -> list[str]:
    """The first digit of the digest of each version, in the order in which MLflow was told of them."""
    told = known.models.get("flight-delay-local", {"versions": []})["versions"]
    return [one["tags"]["package_digest"].removeprefix("sha256:")[0] for one in told]


def test_a_package_is_told_of_once_and_then_nothing_is_to_do(known: SmallMlflow) -> None:
    provider = MlflowProvider()
    made = provider.create(inputs(known)).outs
    assert made is not None and made["missed"] == ""
    assert provider.diff("id", made, inputs(known)).changes is False
    assert known.models["flight-delay-local"]["versions"][0]["tags"]["package_digest"] == DIGEST
    assert provider.diff("id", made, inputs(known, package_digest="sha256:8")).changes


def test_an_outage_is_an_outcome_that_is_told_in_a_line_and_the_next_update_sends_what_was_missed(
    known: SmallMlflow, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = MlflowProvider()
    down = provider.create(inputs(known, server=DOWN)).outs
    assert down is not None and down["missed"].startswith("Silent: http://127.0.0.1:1 does not answer")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"MLflow does not know of {DIGEST} yet, and the next update tells it: ")
    assert provider.diff("id", down, inputs(known, server=DOWN)).changes, "though all else is as it was"
    assert provider.update("id", down, inputs(known)).outs["missed"] == ""
    assert versions(known) == ["7"]


def test_what_was_missed_is_told_in_order_whatever_came_after(
    known: SmallMlflow, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = MlflowProvider()
    state = provider.create(inputs(known, "1")).outs or {}
    for name in ("2", "3", "2", "4"):  # of which the second is asked for again
        state = provider.update("id", state, inputs(known, name, server=DOWN)).outs or {}
    refused = inputs(known, server=DOWN, archive_uri=None, package_digest=None)
    state = provider.update("id", state, refused).outs or {}
    assert [one["version"] for one in state["untold"]] == ["arn:2", "arn:3", "arn:4"]
    assert "MLflow does not know of 3 packages yet, and the next update tells them" in capsys.readouterr().err
    known.fails_at, already = len(known.calls) + 12, len(known.calls)
    state = provider.update("id", state, inputs(known, "5")).outs or {}
    assert len(known.calls) == already + 13, "once it does not answer, it is not asked again"
    assert state["missed"].startswith("Silent: ") and 0 < len(state["untold"]) < 4
    assert provider.diff("id", state, inputs(known, "5")).changes
    state = provider.update("id", state, inputs(known, "5")).outs or {}
    assert versions(known) == ["1", "2", "3", "4", "5"]
    assert (state["untold"], state["missed"]) == ([], "")
    assert [run["tags"]["release"] for run in known.runs.values()] == [f"release-{name}" for name in "12345"]
    assert not provider.diff("id", state, inputs(known, "5")).changes


def test_a_package_that_cannot_be_proven_is_kept_and_holds_up_no_other(known: SmallMlflow, kept: Kept) -> None:
    provider = MlflowProvider()
    state = provider.create(inputs(known, "1", server=DOWN)).outs or {}
    kept.gone.add("1")
    state = provider.update("id", state, inputs(known, "2")).outs or {}
    assert versions(known) == ["2"] and "is gone" in state["missed"]
    assert [one["version"] for one in state["untold"]] == ["arn:1"]
    kept.gone.clear()
    provider.update("id", state, inputs(known, "2"))
    assert versions(known) == ["2", "1"]


def test_what_an_older_version_of_the_program_could_not_tell_is_told(known: SmallMlflow) -> None:
    state = inputs(known, "1", missed="Silent: it was down")
    del state["untold"], state["release"]
    assert MlflowProvider().diff("id", state, inputs(known, "1")).changes
    MlflowProvider().update("id", state, inputs(known, "2"))
    assert versions(known) == ["1", "2"]


@pytest.mark.parametrize(
    ("given", "missed"),
    [({"name": OTHER}, "SignatureError"), ({"archive_uri": None, "package_digest": None}, "")],
    ids=["not what was signed", "refused"],
)
def test_nothing_is_told_of_a_package_that_cannot_be_proven_or_was_refused(
    known: SmallMlflow, given: dict[str, Any], missed: str
) -> None:
    outs = MlflowProvider().create(inputs(known, **given)).outs
    assert outs is not None and outs["missed"].partition(":")[0] == missed
    assert known.calls == []


def test_no_secret_is_in_what_the_state_keeps(known: SmallMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t")
    made = MlflowProvider().create(inputs(known)).outs
    assert known.headers["Authorization"] == "Bearer s3cr3t"
    assert "s3cr3t" not in str(made)


def test_the_lock_of_the_server_names_the_version_that_was_tried() -> None:
    lock = Path(__file__).resolve().parents[4] / "requirements" / "mlflow.txt"
    assert "\nmlflow==3.17.2 " in lock.read_text()
