"""An update that has an execution build its package: what is asked for, what is told, and what becomes of a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import modelstack.services.package_registry
from modelstack.pipeline.gate import GateRefused
from modelstack.pipeline.recipe import Recipe
from modelstack.platforms.aws import executions
from modelstack.platforms.aws.executions import ExecutionRequest
from modelstack.program.providers import execution, stopping
from modelstack.program.providers.package import PackageProvider
from modelstack.program.providers.progress import Progress
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.sealed_packages import Unsigned
from modelstack.services.versions import Version
from tests.platforms.aws.pipelines import ARN, DOWN, FOLDER, PIPELINE, TAKES, Look, Pipelines, step
from tests.program.test_package_provider import INPUTS, REGISTERED

RECIPE = Recipe("f" * 64, {"code": "c" * 64, "parameters": '{"max_iter":60}'})
ASKED = ExecutionRequest(
    PIPELINE,
    FOLDER,
    executions.name_of(RECIPE.digest),
    {"code": "s3://a/code", "champion": ""},
    {"recipe": "f" * 64, "gates": "{}"},
    TAKES,
)
HERE = f"{FOLDER}/abcdef012345"
FOUND = {
    "package_digest": "sha256:d",
    "archive_uri": "s3://bucket/packages/d/model.tar.gz",
    "model_package_arn": "arn:1",
}
REGISTERED_VERSION = Version(
    "arn:1",
    1,
    RECIPE.digest,
    "sha256:d",
    "m",
    "s3://bucket/packages/d/model.tar.gz",
    "image",
    "",
    "",
    datetime(2026, 3, 1, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "PAUSE_SECONDS", 0)


class Told(Progress):
    def __init__(self, take: Callable[[str], None] = lambda line: None) -> None:
        super().__init__("urn")
        self._take, self.notes = take, list[str]()

    def __call__(self, text: str, *, at_once: bool = False) -> None:
        self._take(text)

    def note(self, text: str) -> None:
        self.notes.append(text)


def made(cloud: Pipelines, told: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    return execution.made(lambda instead: ASKED, cloud, Told(told))


def test_a_text_that_determines_the_model_is_a_parameter_and_all_are_in_the_settings() -> None:
    cloud = Pipelines([("Succeeded", [])])
    executions.begin(cloud, ASKED)
    (asked,) = cloud.started
    given = {one["Name"]: one["Value"] for one in asked["PipelineParameters"]}
    assert asked["PipelineExecutionDisplayName"] == f"recipe-{'f' * 12}"
    assert given["recipe"] == "f" * 64
    assert "gates" not in given, "other gates need no new training"
    assert json.loads(cloud.objects[given["settings"]]) == ASKED.texts
    assert cloud.objects[f"{given['champion']}/nothing"] == b"", "SageMaker wants an object for each input"
    executions.begin(cloud, ASKED)
    assert cloud.started[1]["PipelineParameters"] == asked["PipelineParameters"], "or the cache would never hit"


def test_an_execution_that_an_update_left_behind_is_followed_and_not_begun_again() -> None:
    left = {
        "PipelineExecutionArn": ARN,
        "PipelineExecutionDisplayName": ASKED.name,
        "PipelineExecutionStatus": "Executing",
    }
    other = {**left, "PipelineExecutionArn": "arn:other", "PipelineExecutionDisplayName": "recipe-0"}
    ended = {**left, "PipelineExecutionArn": "arn:ended", "PipelineExecutionStatus": "Failed"}
    cloud = Pipelines(known=[other, ended, left])
    assert executions.begin(cloud, ASKED) == ARN
    assert cloud.started == []


def test_two_that_begin_an_attempt_at_once_begin_one_and_the_next_attempt_is_another() -> None:
    """SageMaker answers the same token with the same execution: neither of both saw the other's in the list."""
    told = {"PipelineExecutionDisplayName": ASKED.name, "PipelineExecutionStatus": "Failed"}
    attempts = [Pipelines(), Pipelines(known=[{**told, "PipelineExecutionArn": ARN}])]
    tokens: list[list[str]] = []
    for cloud in attempts:
        executions.begin(cloud, ASKED)
        executions.begin(cloud, ASKED)
        tokens.append([asked["ClientRequestToken"] for asked in cloud.started])
    (first, again), (second, _) = tokens
    assert first == again != second
    assert 32 <= len(first) <= 128, "as SageMaker takes it"


def test_a_text_that_is_too_long_for_the_service_is_named_before_anything_is_begun() -> None:
    cloud = Pipelines()
    long = ExecutionRequest(PIPELINE, FOLDER, "x", {}, {"parameters": "1" * 1025}, TAKES)
    with pytest.raises(RolloutError, match="parameters takes 1,025 characters: SageMaker takes at most 1,024"):
        executions.begin(cloud, long)
    assert (cloud.started, cloud.objects) == ([], {})


def test_each_step_is_told_as_it_goes_with_its_last_line() -> None:
    cloud = Pipelines(
        [
            ("Executing", []),
            ("Executing", [step("build", "Executing")]),
            ("Executing", [step("build", "Succeeded"), step("check", "Starting")]),
            ("Succeeded", [step("build", "Succeeded"), step("check", "Succeeded"), step("release", "Succeeded")]),
        ]
    )
    cloud.lines = {"pipelines-build": ["recipe ffff", "read 27,004 rows"]}
    cloud.has(f"{HERE}/release/register/registered.json", FOUND)
    told: list[str] = []
    assert made(cloud, told.append) == FOUND
    assert told[0] == "execution abcdef012345: executing"
    assert told[1].startswith("step build of execution abcdef012345, 0 s: read 27,004 rows")
    assert told[2].endswith("its job starts")


VERDICT = {
    "passed": False,
    "outcome": "refused",
    "why": "below",
    "misses": [{"metric": "auc", "value": 0.58, "side": "min", "bound": 0.6}],
}
FAILED = ("Failed", [step("build", "Failed", FailureReason="AlgorithmError: exit code 1")])
TRAIN_FAILED = "train failed: ValueError: no\n  its last lines:\n    one\n    two"


@pytest.mark.parametrize(
    ("look", "objects", "said"),
    [
        (
            FAILED,
            {},
            "step build of execution abcdef012345 failed: AlgorithmError: exit code 1\n  its last lines:\n    one\n"
            "    two",
        ),
        (
            (
                "Failed",
                [step("build", "Failed", FailureReason="AlgorithmError: train failed: no\n    two, exit code: 1")],
            ),
            {f"{FOLDER}/refused/pipelines-build.failed.json": {"step": "train", "why": TRAIN_FAILED}},
            f"step build of execution abcdef012345 failed: {TRAIN_FAILED}",
        ),
        (
            ("Failed", [step("build", "Failed", FailureReason="ClientError: Job has ended in MaxRuntimeExceeded.")]),
            {},
            "step build of execution abcdef012345 failed: ClientError: Job has ended in MaxRuntimeExceeded. A job may "
            "take modelstack:retraining.max_minutes\n  its last lines:",
        ),
        (
            FAILED,
            {f"{FOLDER}/refused/pipelines-build.json": {"step": "train", "why": "train refused: no rows"}},
            "train refused: no rows (step build of execution abcdef012345)",
        ),
        (
            FAILED,
            {f"{FOLDER}/refused/pipelines-build.json": {"step": "data", "why": "data refused: it is 0 now"}},
            "data refused: it is 0 now. If it found another recipe: the image that trains has other libraries or data",
        ),
        (("Stopped", []), {}, "execution abcdef012345 was stopped; nothing was registered"),
        (("Succeeded", [step("release", "Succeeded")]), {}, "execution abcdef012345 ended as Succeeded"),
    ],
)
def test_an_execution_without_a_package_is_told_with_its_step_and_reason(
    look: Look, objects: dict[str, Any], said: str
) -> None:
    cloud = Pipelines([look], lines={"pipelines-build": ["one", "two"]})
    for uri, content in objects.items():
        cloud.has(uri, content)
    with pytest.raises(execution.ExecutionFailed) as caught:
        made(cloud)
    assert str(caught.value).startswith(said)
    assert str(caught.value).count("last lines") <= 1


EARLIER = {"CacheHitResult": {"SourcePipelineExecutionArn": ARN.replace("abcdef", "fedcba")}}
LEFT = f"{FOLDER}/pipelines-build/output/model.tar.gz"
CHANGED = {"step": "check", "why": "what an earlier job left is not as it was made: model.tar.gz", "spoiled": True}
BUILT = ("Succeeded", [step("build", "Succeeded"), step("release", "Succeeded")])


def spoiled(*, deleted: bool, build: dict[str, Any]) -> tuple[Look, dict[str, Any]]:
    """An execution that met what is changed or deleted, and what lies in the bucket."""
    check = step("check", "Failed", FailureReason="ClientError: it exits with 4, or No S3 objects found")
    if deleted:
        del check["Metadata"]
    return ("Failed", [step("build", "Succeeded", **build), check]), (
        {} if deleted else {LEFT: "other bytes", f"{FOLDER}/refused/pipelines-check.json": CHANGED}
    )


@pytest.mark.parametrize("deleted", [False, True])
def test_what_an_earlier_execution_left_and_somebody_changed_or_deleted_is_built_anew(
    monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    look, objects = spoiled(deleted=deleted, build=EARLIER)
    cloud = Pipelines([look, BUILT])
    for uri, content in {**objects, f"{HERE}/release/register/registered.json": FOUND}.items():
        cloud.has(uri, content)
    monkeypatch.setattr(execution, "model_files", lambda root: {"model/__init__.py": Path(__file__)})
    props = {**INPUTS, "pipeline": {"pipeline": PIPELINE, "folder": FOLDER, "takes": list(TAKES)}}

    def ask(instead: str) -> ExecutionRequest:
        return execution.asked(props, Path(__file__), RECIPE, cloud, instead=instead)

    told: list[str] = []
    assert execution.made(ask, cloud, Told(told.append)) == FOUND
    assert any("what an earlier job left is" in line and line.endswith("Building anew") for line in told)
    first, second = ({one["Name"]: one["Value"] for one in asked["PipelineParameters"]} for asked in cloud.started)
    assert {name for name in first if first[name] != second[name]} == {"code"}, "or the same job would stand for it"
    assert f"{second['code']}/model/__init__.py" in cloud.objects
    assert not second["code"].startswith(first["code"]), "or a job of the first would take the other code too"


def test_what_is_changed_again_while_it_is_used_is_told_and_not_built_for_ever() -> None:
    look, objects = spoiled(deleted=False, build=EARLIER)
    cloud = Pipelines([look])
    for uri, content in objects.items():
        cloud.has(uri, content)
    with pytest.raises(execution.ExecutionFailed, match="is not as it was made"):
        made(cloud)
    assert len(cloud.started) == 2
    fresh = Pipelines([spoiled(deleted=False, build={})[0]], objects=cloud.objects)
    with pytest.raises(execution.ExecutionFailed, match=r"is not as it was made.* \(step check of execution"):
        made(fresh)
    assert len(fresh.started) == 1, "the next execution builds it anew"


@pytest.mark.parametrize("cached", ["", "arn:aws:sagemaker:us-east-1:000000000000:pipeline/p/execution/first"])
def test_gates_refuse_in_the_words_of_every_engine_also_by_a_verdict_of_an_earlier_execution(cached: str) -> None:
    check = step("check", "Succeeded", **({"CacheHitResult": {"SourcePipelineExecutionArn": cached}} if cached else {}))
    cloud = Pipelines([("Failed", [check, step("gate-refused", "Failed", FailureReason="refused by the step gate")])])
    cloud.has(f"{FOLDER}/{'first' if cached else 'abcdef012345'}/check/gate/verdict.json", VERDICT)
    with pytest.raises(GateRefused, match=r"auc +0\.5800  min 0\.6"):
        made(cloud)


def test_a_moments_silence_of_the_service_is_borne_and_a_long_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Pipelines([DOWN, DOWN, ("Succeeded", [step("release", "Succeeded")])])
    cloud.has(f"{HERE}/release/register/registered.json", FOUND)
    assert made(cloud) == FOUND
    monkeypatch.setattr(execution, "PATIENCE_SECONDS", -1)
    with pytest.raises(execution.ExecutionFailed, match="Run the update again: it follows the"):
        made(Pipelines([DOWN]))


def test_an_update_that_is_cancelled_stops_the_execution_and_says_at_which_step() -> None:
    cloud = Pipelines([("Executing", [step("build", "Executing")])])
    told = Told(lambda line: stopping.cancel())
    with pytest.raises(execution.ExecutionFailed, match="the update was cancelled, and execution abcdef012345 with it"):
        execution.made(lambda instead: ASKED, cloud, told)
    assert cloud.stopped == [ARN]
    assert told.notes == ["the update is cancelled: execution abcdef012345 is being stopped at step build"]
    stopping.cancel()
    assert cloud.stopped == [ARN], "what has ended is not stopped again"


def test_an_execution_that_cannot_be_stopped_is_told_to_go_on_perhaps(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(self: Pipelines, PipelineExecutionArn: str) -> None:
        raise DOWN

    monkeypatch.setattr(Pipelines, "stop_pipeline_execution", down)
    told = Told(lambda line: stopping.cancel())
    with pytest.raises(execution.ExecutionFailed):
        execution.made(lambda instead: ASKED, Pipelines([("Executing", [])]), told)
    (note,) = told.notes
    assert note.startswith("the update is cancelled, and execution abcdef012345 may go on: ")


def test_the_answer_to_a_cancellation_is_replaced_where_dynamic_resources_are_provided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Servicer:
        def Cancel(self, request: object, context: object) -> str:
            return "nobody was told"

    bound, stopped = Servicer().Cancel, []
    monkeypatch.setattr(
        "sys.modules",
        {**__import__("sys").modules, "__main__": type("M", (), {"DynamicResourceProviderServicer": Servicer})},
    )
    with stopping.stopping(lambda: stopped.append(1)) as cancelled:
        answer = bound(None, None)
    assert (stopped, cancelled.is_set(), type(answer).__name__) == ([1], True, "Empty")


# --- the provider


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    def take(ours: Any, recipe: str, place: Any, gates: Any) -> Any:
        if ours.package_digest == "sha256:unsigned":
            raise Unsigned("it is not signed")
        found.append(ours.package_digest)
        return REGISTERED

    monkeypatch.setattr(modelstack.services.package_registry, "take", take)
    monkeypatch.setattr(PackageProvider, "wanted", lambda self, props: RECIPE)
    monkeypatch.setattr(execution, "model_files", lambda root: {"model/__init__.py": Path(__file__)})
    return found


@pytest.mark.parametrize(
    ("there", "begun"),
    [(REGISTERED_VERSION, 0), (None, 1), (replace(REGISTERED_VERSION, package_digest="sha256:unsigned"), 1)],
)
def test_a_recipe_that_is_registered_begins_nothing(
    taken: list[Any], monkeypatch: pytest.MonkeyPatch, there: Version | None, begun: int
) -> None:
    cloud = Pipelines([("Succeeded", [step("release", "Succeeded")])])
    cloud.has(f"{HERE}/release/register/registered.json", FOUND)
    versions = SimpleNamespace(list=lambda about: iter([there] if there else []), clients=cloud)
    registry: Any = SimpleNamespace(versions=versions, signer=KeyPair.new())
    props = {**INPUTS, "pipeline": {"pipeline": PIPELINE, "folder": FOLDER, "takes": list(TAKES)}}
    assert PackageProvider()._built(props, registry) == REGISTERED
    assert (len(cloud.started), taken) == (begun, ["sha256:d"])
    if begun:
        given = {one["Name"]: one["Value"] for one in cloud.started[0]["PipelineParameters"]}
        assert f"{given['code']}/model/__init__.py" in cloud.objects
        assert given["code"].endswith("c" * 64), "the address names the code, so the cache knows it"
        place = json.loads(json.loads(cloud.objects[given["settings"]])["place"])
        assert place == {
            "platform": "aws",
            **{name: INPUTS[name] for name in ("region", "bucket", "group", "signing_key", "image_uri")},
        }
