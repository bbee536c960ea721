"""What the program declares, each promise with its reason. Nothing here needs an engine."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from demos.promotion.__main__ import STACKS as PROMOTED
from localcloud.testing.cloudwatch import check_dashboard
from modelstack.pipeline.engines.sagemaker import KEPT_DAYS
from modelstack.platforms.aws.names import MONITORING
from modelstack.platforms.aws.panels import HANDLERS
from modelstack.program.aws.hosting import STARTUP_SECONDS
from modelstack.program.aws.stack import AwsStack
from modelstack.services.measuring import Measuring
from tests.program.recorded import (
    ACCOUNT,
    DIGEST,
    FACTS,
    IMAGE,
    LOCAL,
    OLD,
    RECIPE,
    ROOT,
    SIGNED_BY,
    Answers,
    World,
    idle,
    record_run,
    release,
    statements,
    stopped,
)
from tests.program.recorded import SOURCE as TAKEN_FROM
from tests.program.recorded import run_program as run
from tests.tables import TABLES

SOURCE = {**TAKEN_FROM, "release": {**release(LOCAL, "2" * 64).as_dict(), "package_digest": DIGEST}}


# --- as a whole


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_a_stack_has_at_most_72_resources_at_its_first_release(stack: str) -> None:
    declared = run(stack, answers=Answers(source=SOURCE), serving={"image": IMAGE}).resources
    assert len(declared) + 1 <= 72, "and the stack itself"


def test_a_process_that_runs_many_programs_can_still_pickle() -> None:
    """As joblib does, with pickle's own class in Python."""
    before = pickle._Pickler._batch_setitems
    for _ in range(2):
        record_run()
    assert pickle._Pickler._batch_setitems is before


# --- the registry


CONTROLLER = f"arn:aws:iam::{ACCOUNT}:role/flight-delay-local-controller"


def test_nobody_deletes_or_overwrites_the_audit_record_and_no_rule_does() -> None:
    world = run()
    records = f"arn:aws:s3:::flight-delay-local-artifacts-{ACCOUNT}/audit/*"
    policy = statements(world.one(":BucketPolicy").inputs["policy"])
    kept, once, by = (one for one in policy if one["Resource"] == [records])
    assert {(one["Effect"], one["Principal"]) for one in (kept, once, by)} == {("Deny", "*")}
    assert (kept["Action"], "Condition" in kept) == (["s3:DeleteObject", "s3:DeleteObjectVersion"], False)
    assert once["Action"] == by["Action"] == ["s3:PutObject"]
    assert once["Condition"] == {"Null": {"s3:if-none-match": "true"}}, "what is there already is refused by S3"
    assert by["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": CONTROLLER}}
    for rule in world.one(":BucketLifecycleConfiguration").inputs["rules"]:
        assert not ("days" in rule["expiration"] and "audit/".startswith(rule["filter"]["prefix"]))


def test_the_audit_record_has_a_key_of_its_own_and_one_function_that_may_sign() -> None:
    world = run("dev", serving={"image": IMAGE}, retraining={"enabled": True, "image": IMAGE})
    (key,) = (item.inputs for item in world.all(":Key") if item.name == "audit")
    assert (key["keyUsage"], key["customerMasterKeySpec"]) == ("SIGN_VERIFY", "ECC_NIST_P256")
    arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/audit"
    told = [one.name for one in world.all(":Function") if "AUDIT_KEY" in one.inputs["environment"]["variables"]]
    signing = [
        role.name
        for role in world.all(":RolePolicy")
        for one in statements(role.inputs["policy"])
        if one["Resource"] == [arn] or ("kms:Sign" in one["Action"] and arn in one["Resource"])
    ]
    assert (told, signing) == (["advance"], ["controller"])
    (denied,) = (one for one in statements(key["policy"]) if one["Effect"] == "Deny")
    assert (denied["Action"], denied["Principal"]) == (["kms:Sign"], "*")
    assert denied["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": CONTROLLER.replace("local", "dev")}}


def test_requests_and_labels_go_after_a_time_and_packages_stay() -> None:
    """In a versioned bucket what expires becomes an old version, which must go too."""
    world = run("dev", serving={"image": IMAGE}, retention={"requests_days": 7, "versions_days": 14})
    rules = {rule["id"]: rule for rule in world.one(":BucketLifecycleConfiguration").inputs["rules"]}
    every, pipeline = rules.pop("versions"), rules.pop("pipeline")
    assert rules.keys() == {"capture", "capture-rejected", "labels", "labels-rejected"}
    for name, rule in rules.items():
        assert (rule["status"], rule["filter"], rule["expiration"]) == ("Enabled", {"prefix": f"{name}/"}, {"days": 7})
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    assert pipeline["expiration"]["days"] > KEPT_DAYS, "SageMaker would take what is gone"
    assert (every["status"], every["filter"]) == ("Enabled", {"prefix": ""})
    assert every["expiration"] == {"expiredObjectDeleteMarker": True}, "no package expires"
    assert every["noncurrentVersionExpiration"] == {"noncurrentDays": 14}
    assert "BucketLifecycleConfiguration" in " ".join(world.one(":Package").depends)


def test_every_log_that_the_stack_fills_is_declared_and_forgets() -> None:
    """A group that nobody declares is made by the service that writes first, and keeps its lines for ever."""
    world = run("dev", serving={"image": IMAGE}, retention={"log_days": 7})
    groups = {item.inputs["name"]: item.inputs["retentionInDays"] for item in world.all(":LogGroup")}
    assert groups == {"/aws/lambda/flight-delay-dev": 7, "/aws/sagemaker/Endpoints/flight-delay-dev": 7}
    assert "LogGroup::containers" in " ".join(world.one(":Endpoint").depends), "SageMaker would make it first"


def test_the_page_on_aws_counts_the_metrics_that_alarms_are_billed_by() -> None:
    alarms = run("dev", serving={"image": IMAGE}).all(":MetricAlarm")
    queries = [alarm.inputs.get("metricQueries", [{"metric": {}}]) for alarm in alarms]
    billed = sum("metric" in query for each in queries for query in each)
    assert f"for the {billed} metrics of its alarms" in " ".join((ROOT / "docs/how-to/aws.md").read_text().split())


@pytest.mark.parametrize(("stack", "kept"), [("local", False), ("dev", True)])
def test_only_local_stacks_throw_their_packages_away(stack: str, kept: bool) -> None:
    world = run(stack, serving={"image": IMAGE})
    assert world.one(":Bucket").inputs["forceDestroy"] is not kept
    assert world.one(":Repository").inputs["forceDelete"] is not kept
    assert world.package["retain"] is kept


OUTLIVES = {
    *(("Key", name) for name in ("artifacts", "signing", "audit")),
    *((f"Bucket{rule}", "artifacts") for rule in ("", "PublicAccessBlock", "Versioning", "Policy")),
    *((f"Bucket{rule}Configuration", "artifacts") for rule in ("ServerSideEncryption", "Lifecycle")),
    ("Repository", "serving"),
    ("ModelPackageGroup", "packages"),
    ("Table", "journal"),
}
"""What a retained package, and the record of it, cannot be used without."""


@pytest.mark.parametrize(
    ("stack", "retain", "kept"), [("local", None, False), ("dev", None, True), ("dev", False, False)]
)
def test_packages_outlive_a_stack_with_all_that_they_need_or_not_at_all(
    stack: str, retain: bool | None, kept: bool
) -> None:
    world = run(stack, serving={"image": IMAGE}, registry={"retain": retain})
    retained = {(item.type.rpartition(":")[2], item.name) for item in world.resources if item.retained}
    assert retained == (OUTLIVES if kept else set())
    assert all(item.protected for item in world.resources if item.retained), "in the state, for the next update"


# --- the package


def test_nothing_is_put_into_the_bucket_before_its_rules_stand() -> None:
    depends = " ".join(run().one(":Package").depends)
    for rule in ("BucketPolicy", "BucketPublicAccessBlock", "BucketVersioning", "ServerSideEncryption"):
        assert rule in depends


def test_refused_package_stops_the_program_before_anything_else_is_declared() -> None:
    gates = "the model is below its gates and is not released:\n  auc  0.58  min 0.6"
    world, why = stopped(answers=Answers(refused=gates))
    assert gates in why
    assert {item.type.split(":")[1].split("/")[0] for item in world.resources} <= {
        *("index", "kms", "s3", "ecr", "sagemaker", "providers", "dynamic")
    }
    assert not world.all(":Model")
    assert not world.all(":Endpoint")
    assert not world.all("lambda/function:Function")


def test_the_provider_of_packages_starts_while_aws_is_asked_whose_account_it_is() -> None:
    def asked(world: World) -> None:
        until = time.monotonic() + 100  # a registration may be on its way in another thread
        while not world.all(":pulumi-python") and time.monotonic() < until:
            time.sleep(0.01)
        assert world.all(":pulumi-python"), "the provider waits for the account"

    assert record_run(asked=asked).stopped is None


# --- serving


@pytest.mark.slow
def test_names_of_models_and_configs_are_digests_of_what_they_hold() -> None:
    def names(runs: Callable[..., World] = run, **sections: Any) -> tuple[str, str]:
        world = runs(**sections)
        return world.one(":Model").inputs["name"], world.one(":EndpointConfiguration").inputs["name"]

    model, config = names()
    assert names(record_run) == (model, config), "the same content must keep its name, or every plan has changes"
    assert names(recipe="b" * 64)[0] != model
    bigger = names(serving={"instance_count": 2})
    assert bigger[0] == model, "the model does not hold the instances"
    assert bigger[1] != config, "a config that is replaced under its name is not picked up"
    assert names(serving={"capture_percent": 5})[1] != config
    other = names(serving={"image": IMAGE})
    assert other[0] != model
    assert other[1] != config


def test_container_is_told_the_digest_that_it_checks_before_it_unpickles() -> None:
    container = run().one(":Model").inputs["primaryContainer"]
    assert container["environment"]["MODELSTACK_MANIFEST_SHA256"] == FACTS["manifest_sha256"]
    assert container["environment"]["MODELSTACK_MODEL"] == "flight-delay", "a label of what the server counts"
    assert container["modelDataUrl"] == FACTS["archive_uri"]


def test_endpoint_belongs_to_the_controller_and_goes_before_any_config_that_it_may_serve() -> None:
    shadow = {"kind": "shadow", "percent": 20, "bake_seconds": 30}
    for strategy in ({}, {"strategy": shadow}):
        world = run(state=idle(OLD), rollout=strategy)
        endpoint = world.one(":Endpoint")
        assert endpoint.ignores == ["endpointConfigName", "deploymentConfig"], "an update must not reset a canary"
        for config in world.all(":EndpointConfiguration"):
            assert any(urn.endswith(f"::{config.name}") for urn in endpoint.depends)


@pytest.mark.parametrize(("stack", "protected"), [("local", False), ("dev", True)])
def test_no_update_deletes_the_endpoint_of_a_stack_on_aws(stack: str, protected: bool) -> None:
    world = run(stack, serving={"image": IMAGE})
    assert world.one(":Endpoint").protected is protected


@pytest.mark.parametrize(("percent", "captures"), [(0, False), (5, True)])
def test_requests_are_captured_as_often_as_the_config_says_and_not_at_all_at_zero(percent: int, captures: bool) -> None:
    world = run(serving={"capture_percent": percent})
    capture = world.one(":EndpointConfiguration").inputs["dataCaptureConfig"]
    assert (capture["enableCapture"], capture["initialSamplingPercentage"]) == (captures, percent)
    assert capture["captureOptions"] == [{"captureMode": "Input"}, {"captureMode": "Output"}]


def test_what_is_live_never_changes_under_its_name() -> None:
    world = run(state=idle(OLD), serving={"instance_count": 3})
    for item in [*world.all(":Model"), *world.all(":EndpointConfiguration")]:
        assert item.ignores == ["*"]


@pytest.mark.parametrize(("stack", "seconds"), [("local", None), ("dev", STARTUP_SECONDS)])
@pytest.mark.parametrize("kind", ["steps", "shadow"])
def test_a_container_that_never_starts_does_not_take_up_a_trial(stack: str, seconds: int | None, kind: str) -> None:
    strategy = {"kind": "shadow", "percent": 20, "bake_seconds": 30}
    world = run(
        stack, state=idle(OLD), serving={"image": IMAGE}, rollout={"strategy": strategy} if kind == "shadow" else {}
    )
    configs = [item.inputs for item in world.all(":EndpointConfiguration")]
    variants = [
        one for item in configs for one in (*item["productionVariants"], *item.get("shadowProductionVariants", []))
    ]
    assert len(variants) >= 4
    assert {one.get("containerStartupHealthCheckTimeoutInSeconds") for one in variants} == {seconds}


@pytest.mark.parametrize("section", ["serving", "retraining"])
def test_an_image_of_another_region_is_refused_before_anything_changes(section: str) -> None:
    other = IMAGE.replace("us-east-1", "eu-west-1")
    world, why = stopped("dev", **{"serving": {"image": IMAGE}, section: {"image": other}})
    assert why.startswith(f"modelstack:{section}.image: SageMaker takes images of the stack's region only, and {other}")
    assert "push it to a repository in us-east-1" in why
    assert not [item for item in world.resources if item.type.startswith("aws:")]


def weights(world: World, config: str) -> dict[str, float]:
    return {item["variantName"]: item["initialVariantWeight"] for item in world.config(config)["productionVariants"]}


def test_challenger_begins_without_traffic_beside_the_champion() -> None:
    world = run(state=idle(OLD))
    assert weights(world, LOCAL.pair_of(OLD.config_name, release(LOCAL).config_name)) == {
        OLD.variant: 1,
        release(LOCAL).variant: 0,
    }


def test_champion_keeps_its_own_archive_and_image() -> None:
    world = run(state=idle(replace(OLD, archive_uri="s3://old/model.tar.gz", image_uri="old-image")))
    container = world.models()[OLD.model_name]
    assert (container["image"], container["modelDataUrl"]) == ("old-image", "s3://old/model.tar.gz")


# --- monitors


def test_alarms_of_a_variant_see_only_its_own_numbers() -> None:
    world = run(state=idle(OLD))
    for variant in (OLD.variant, release(LOCAL).variant):
        wanted = {"EndpointName": "flight-delay-local", "VariantName": variant}
        for measure in ("5xx", "p99", "drift", "concept"):
            for query in world.alarm(f"{variant}-{measure}")["metricQueries"]:
                assert "metric" not in query or query["metric"]["dimensions"] == wanted


@pytest.mark.parametrize("function", ["drift", "labels"])
def test_functions_that_measure_are_told_what_the_config_says(function: str) -> None:
    monitoring = {"max_loss_rise": 0.25, "labels_days": 3, "segments": ["carrier"], "drift_false_alarms": 0.2}
    variables = run(monitoring=monitoring).function(function)["environment"]["variables"]
    told = Measuring.from_dict(json.loads(variables[MONITORING]))
    assert (told.segments, told.max_loss_rise, told.concept_false_alarms) == (("carrier",), 0.25, 0.1)
    assert (told.labels_days, told.drift_minutes, told.drift_false_alarms) == (3, 2, 0.2)


def test_promotion_changes_no_alarm() -> None:
    new = release(LOCAL)
    before = run(state=idle(OLD))
    after = run(state=idle(new, previous=OLD))
    assert {item.name: item for item in before.all(":MetricAlarm")} == {
        item.name: item for item in after.all(":MetricAlarm")
    }


def test_the_dashboard_can_be_drawn_and_does_not_change_with_releases() -> None:
    body = run().one(":Dashboard").inputs["dashboardBody"]
    assert body == run(state=idle(OLD), recipe="b" * 64).one(":Dashboard").inputs["dashboardBody"]
    widgets = json.loads(body)["widgets"]
    assert all({"x", "y", "width", "height"} <= widget.keys() for widget in widgets)
    assert check_dashboard(body) == ([], []), "a console can draw it"
    (budget,) = [item["properties"] for item in widgets if item["properties"].get("view") == "singleValue"]
    assert budget["period"] == 6 * 3600, "the objective's window, which the committed file of stack local says"


def test_the_graph_of_functions_shows_all_that_a_stack_may_have() -> None:
    declared = run(retraining={"enabled": True}).all(":Function")
    assert {item.name for item in declared} == set(HANDLERS)


# --- rollback


def test_alarm_reaches_the_rollback_function_or_the_dead_letter_queue() -> None:
    world = run()
    subscription = world.one(":TopicSubscription").inputs
    assert subscription["protocol"] == "lambda"
    assert "deadLetterTargetArn" in subscription["redrivePolicy"], "an alarm that SNS cannot deliver must not vanish"
    assert world.function("rollback")["deadLetterConfig"]["targetArn"]
    permission = world.one(":Permission", "rollback-sns").inputs
    assert permission["principal"] == "sns.amazonaws.com"
    assert permission["sourceArn"], "without it any topic of any account could call the function"


def test_schedules_may_call_the_functions_that_run_by_them_and_no_other() -> None:
    world = run()
    scheduled = {"advance", "drift", "labels"}
    assert {item.name for item in world.all(":Schedule")} == scheduled
    for item in world.all(":Schedule"):
        assert item.inputs["target"]["roleArn"] == world.one("iam/role:Role", "schedules").inputs.get(
            "arn", f"arn:aws:iam/role:us-east-1:{ACCOUNT}:schedules"
        )
        assert any("RolePolicy" in urn for urn in item.depends), "a call that comes earlier would be refused"
    (allowed,) = world.allows("schedules")
    assert allowed["Action"] == ["lambda:InvokeFunction"]
    assert {arn.rpartition(":flight-delay-local-")[2] for arn in allowed["Resource"]} == scheduled
    (trust,) = statements(world.one("iam/role:Role", "schedules").inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_functions_run_on_a_python_that_lambda_keeps_as_long_as_any() -> None:
    table = json.loads((TABLES / "AdditionalSpecs/LmbdRuntimeLifecycle.json").read_text())
    ends = {name: item["deprecated"] for name, item in table.items() if name.startswith("python")}
    for item in run().all("lambda/function:Function"):
        assert ends[item.inputs["runtime"]] == max(ends.values())


def test_a_function_writes_into_the_functions_log_and_reads_nothing_there() -> None:
    world = run()
    assert world.one(":LogGroup", "functions").inputs["retentionInDays"] == 30
    for item in world.all("lambda/function:Function"):
        assert item.inputs["loggingConfig"] == {"logFormat": "Text", "logGroup": "/aws/lambda/flight-delay-local"}
        found = world.may(item.name)
        (logs,) = (one for one in found if any(action.startswith("logs:") for action in one["Action"]))
        assert logs["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        assert [arn.partition(":log-group:")[2] for arn in logs["Resource"]] == ["/aws/lambda/flight-delay-local:*"]


# --- other stacks


@pytest.mark.slow
@pytest.mark.parametrize(
    "stack", ["local", "local-pipeline", "local-staging", "local-year", *PROMOTED, "dev", "staging", "prod"]
)
def test_every_stack_has_every_output(stack: str) -> None:
    exported = run(stack, answers=Answers(source=SOURCE), serving={"image": IMAGE}).exported
    assert set(exported) == set(AwsStack.OUTPUTS)
    for name in ("endpoint_name", "champion", "package_digest", "rollback_function", "dashboard_url"):
        assert isinstance(exported[name], str), name


def test_promotion_copies_the_champion_trains_nothing_and_verifies_with_the_sources_key() -> None:
    package = run("local-staging", answers=Answers(source=SOURCE)).package
    assert package["recipe"] == SOURCE["release"]["recipe"]
    assert (package["source"]["package_digest"], package["source"]["signed_by"]) == (DIGEST, SIGNED_BY)
    assert package["bucket"] == "flight-delay-local-staging-artifacts-000000000000"


@pytest.mark.parametrize(("lacks", "why"), [("signing_key", "signed none"), ("release", "no champion")])
def test_promotion_from_a_stack_without_a_signed_champion_says_what_to_do(lacks: str, why: str) -> None:
    source = {name: value for name, value in SOURCE.items() if name != lacks}
    with pytest.raises(pulumi.RunError, match=rf"promotion.from = 'local'.*{why}.*`pulumi up` on it first"):
        run("local-staging", answers=Answers(source=source))


def test_packages_are_signed_with_a_key_that_can_do_nothing_else() -> None:
    world = run()
    (key,) = [one for one in world.resources if one.type == "aws:kms/key:Key" and one.name == "signing"]
    assert key.inputs["keyUsage"] == "SIGN_VERIFY"
    assert key.inputs["customerMasterKeySpec"] == "ECC_NIST_P256"
    assert world.package["signing_key"] == f"arn:aws:kms:us-east-1:{ACCOUNT}:key/signing"


def pulled(world: World) -> list[str]:
    allowed = world.allows("serving")
    return next(item["Resource"] for item in allowed if "ecr:BatchGetImage" in item["Action"])


def test_promoted_release_keeps_its_image_and_may_pull_it() -> None:
    source = {**SOURCE, "release": {**SOURCE["release"], "image_uri": IMAGE}}
    world = run("staging", answers=Answers(source=source))
    assert world.one(":Model").inputs["primaryContainer"]["image"] == IMAGE
    assert f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/flight-delay-dev-serving" in pulled(world)


def test_new_image_of_the_champions_model_is_put_on_trial_beside_it_and_both_images_may_be_pulled() -> None:
    champion = release(LOCAL, RECIPE, "000000000000.dkr.ecr.us-east-1.amazonaws.com/other-serving:1")
    challenger = release(LOCAL, RECIPE, IMAGE)
    world = run(state=idle(champion), serving={"image": IMAGE})
    assert {name: container["image"] for name, container in world.models().items()} == {
        champion.model_name: champion.image_uri,
        challenger.model_name: IMAGE,
    }
    pair, rollout = LOCAL.pair_of(champion.config_name, challenger.config_name), world.rollout
    assert weights(world, pair) == {champion.variant: 1, challenger.variant: 0}
    assert (rollout["desired_release"]["id"], rollout["trial_config"]) == (challenger.id, pair)
    assert rollout["plan"]["guard"] is None, "SageMaker's guardrails are for a change of instances alone"
    assert {"flight-delay-dev-serving", "other-serving"} <= {arn.rpartition("/")[2] for arn in pulled(world)}, (
        "an instance of the champion may have to start again in mid-trial"
    )


def test_aws_stack_without_an_image_is_a_registry_to_push_it_to() -> None:
    world = run("dev")
    assert world.all(":Repository")
    assert not world.all(":Endpoint")
    assert not world.all(":Package")
    assert "`make image STACK=dev` builds it" in world.warned


def test_image_that_is_taken_out_of_the_config_takes_no_endpoint_down() -> None:
    world, why = stopped("dev", state=idle(OLD))
    assert "Nothing was changed: flight-delay-dev serves a release" in why
    assert {item.type for item in world.resources} == {"pulumi:providers:pulumi-python"}, "and that is true"


def test_functions_come_after_their_tables_and_go_before_them() -> None:
    world = run()
    for function in world.all(":Function"):
        tables = {"journal", "documents"}
        assert tables <= {urn.rpartition("::")[2] for urn in function.depends}, (
            "one that runs without its table fails, and an alarm fires for the next stack of this name"
        )


def test_a_model_without_a_recipe_is_refused_before_anything_is_declared() -> None:
    why = pulumi.RunError("the model has no recipe, so nothing was changed: requirements/app.txt does not lock polars")
    world, told = stopped(recipe=why)
    assert told == str(why)
    assert {item.type for item in world.resources} == {"pulumi:providers:pulumi-python"}, (
        "the engine makes what is declared while the program goes on"
    )


def test_gates_that_the_champion_no_longer_passes_fail_the_update_and_leave_it_serving() -> None:
    gates = "the model is below its gates and is not released:\n  auc  0.70  min 0.9"
    world, why = stopped(answers=Answers(refused=gates), state=idle(release(LOCAL)))
    assert "below its gates" in why
    assert world.one(":Endpoint")
    assert world.one(":Model").inputs["primaryContainer"]["modelDataUrl"] == FACTS["archive_uri"]
    assert world.exported["package_digest"] == world.exported["champion"]
    assert world.exported["metrics"] == world.answers.registered
