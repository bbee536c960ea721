"""The stack's config: every wrong value is told with its field, itself and what is allowed, before anything changes."""

from __future__ import annotations

import inspect
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
import yaml
from botocore.session import get_session

from demos.promotion.__main__ import STACKS as PROMOTED
from modelstack.program.aws.target import check_target, provider_problems, regions, wrong_region
from modelstack.program.config import checkout
from modelstack.program.config.retention_settings import LOG_DAYS
from modelstack.program.config.settings import Settings
from tests.program.refusals import REGION, load, refusal

ROOT = Path(__file__).resolve().parents[4]
STACKS = ("local", "local-staging", "local-year", *PROMOTED, "dev", "staging", "prod")
SECTIONS = ", ".join(Settings.model_fields)
METRICS = "auc, base_rate, brier, calibration_error, log_loss, rows"
ROLLOUT = (
    "wait, strategy, judge, replay, infrastructure, max_minutes, on_timeout, watch_minutes, metrics_timeout_minutes"
)


def test_a_field_of_an_earlier_version_is_told_with_what_took_its_place() -> None:
    assert refusal(monitoring={"max_drift_psi": 0.25, "drift_min_rows": 300, "loss_false_alarm_labels": 10_000}) == [
        "modelstack:monitoring.max_drift_psi = 0.25: drift is no longer told by a threshold on an index; allowed is "
        "drift_false_alarms, how many false alarms a year are tolerated",
        "modelstack:monitoring.drift_min_rows = 300: how many rows drift is told from follows from the training data; "
        "leave it out",
        "modelstack:monitoring.loss_false_alarm_labels = 10000: a moved concept is told by days of labels; allowed is "
        "concept_false_alarms, how many false alarms a year are tolerated",
    ]


# Rules that look at more than one value: config, and the lines of the refusal.
TOGETHER: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"pipeline": {"engine": "sagemaker"}, "promotion": {"from": "local-staging"}},
        [
            "modelstack:pipeline.engine = \"sagemaker\": promotion.from is 'local-staging': nothing is trained here; "
            "allowed is local"
        ],
    ),
    (
        {"pipeline": {"engine": "airflow"}},
        ['modelstack:pipeline.engine = "airflow": allowed is one of local, sagemaker'],
    ),
    (
        {"model": {"gates": {"auc": {}}}},
        ["modelstack:model.gates.auc = {}: allowed is min, max, or both, each a number"],
    ),
    (
        {"model": {"gates": {"auc": {"min": 0.9, "max": 0.1}}}},
        ["modelstack:model.gates.auc.max = 0.1: allowed is a number from min on, which is 0.9; or no value passes"],
    ),
    (
        {"model": {"gates": {"auc": {"least": 0.9, "min": 0.6}}}},
        ["modelstack:model.gates.auc.least = 0.9: no such field; allowed are min, max"],
    ),
    (
        {"model": {"gates": {"acu": {"min": 0.6}, "brier": {}}}},
        [
            "modelstack:model.gates.acu: the model reports no metric 'acu'; "
            f"allowed are {METRICS}; did you mean 'auc'?",
            "modelstack:model.gates.brier = {}: allowed is min, max, or both, each a number",
        ],
    ),
    (
        {"rollout": {"wiat": True}},
        [f"modelstack:rollout.wiat = true: no such field; allowed are {ROLLOUT}; did you mean 'wait'?"],
    ),
    (
        {"promotion": {"source": "local"}},
        ['modelstack:promotion.source = "local": no such field; allowed are from, to'],
    ),
    (
        {"promotion": {"from": "local"}},
        [
            'modelstack:promotion.from = "local": a stack cannot be its own source; '
            "allowed is the name of another, or null"
        ],
    ),
    (
        {"promotion": {"from": "dev"}},
        [
            'modelstack:promotion.from = "dev": a local stack and one that is not cannot promote to one another; '
            "allowed is the name of a stack that is local, or null"
        ],
    ),
    (
        {"moniotring": {}},
        [f"modelstack:moniotring = {{}}: no such field; allowed are {SECTIONS}; did you mean 'monitoring'?"],
    ),
]


@pytest.mark.parametrize(("values", "lines"), TOGETHER, ids=[str(values)[:60] for values, _ in TOGETHER])
def test_values_that_do_not_go_together_are_told_the_same_way(values: dict[str, Any], lines: list[str]) -> None:
    assert refusal(**values) == lines


def test_everything_wrong_is_told_at_once() -> None:
    lines = refusal(
        region="mars",
        model={"name": "a" * 40, "parameters": {"max_iter": 0, "trees": 3}, "gates": {"accuracy": {"min": 0.6}}},
        rollout={"judge": {"alpha": 0, "min_requests": 0}},
        monitoring={"max_p99_ms": 0},
        promotion={"from": "dev"},
        modle={},
    )
    fields = [line.partition(" = ")[0].partition(": ")[0] for line in lines]
    assert sorted(fields) == sorted(
        [
            "aws:region",
            "modelstack:model.gates.accuracy",
            "modelstack:model.name",
            "modelstack:model.parameters.max_iter",
            "modelstack:model.parameters.trees",
            "modelstack:modle",
            "modelstack:monitoring.max_p99_ms",
            "modelstack:promotion.from",
            "modelstack:rollout.judge.alpha",
            "modelstack:rollout.judge.min_requests",
        ]
    )


def test_parameters_are_judged_by_the_model_itself() -> None:
    known = "evaluate_from, evaluate_until, fault, folds, learning_rate, max_iter, refit, train_from, train_until"
    assert refusal(model={"parameters": {"max_iter": 0, "trees": 3}}) == [
        f"modelstack:model.parameters.trees = 3: unknown parameter; the model has {known}",
        "modelstack:model.parameters.max_iter = 0: 0 is not allowed: expected an integer from 1 to 1000",
    ]
    (line,) = refusal(model={"parameters": {"train_until": "2013-01-01"}})
    assert line.startswith('modelstack:model.parameters.train_until = "2013-01-01": ')
    assert "expected a day after train_from" in line
    (line,) = refusal(model={"parameters": {"train_from": "2013-12-01"}})
    assert line.startswith("modelstack:model.parameters: train_until: '2013-03-01'"), "it was not given, but is wrong"


def test_model_that_cannot_be_asked_is_a_line_of_the_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "project_root", lambda: tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "parameters.py").write_text("1 / 0")
    (tmp_path / "model" / "evaluation.py").write_text("METRICS = names()")
    parameters, gate = refusal(model={"gates": {"auc": {"min": 0.6}}})
    assert parameters.startswith(f"modelstack:model.parameters: {tmp_path}/model/parameters.py failed: ZeroDivision")
    assert gate.startswith(f"modelstack:model.gates.auc: {tmp_path}/model/evaluation.py does not say what it reports")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"])
def test_regions_of_every_partition_are_regions(region: str) -> None:
    assert load(region=region)
    assert wrong_region(region) is None


def test_what_is_no_region_is_told_with_the_regions_that_there_are() -> None:
    (line,) = refusal(region="mars")
    assert line == f'aws:region = "mars": allowed is a region of AWS: {", ".join(regions())}'
    assert refusal(region="eu-centrl-1")[0].endswith("; did you mean 'eu-central-1'?")
    assert refusal(region="aws-global"), "it is where IAM is, and no place for an endpoint"
    (line,) = refusal(region=None)
    assert line == (
        "aws:region is missing: allowed is a region of AWS. Set it, such as: pulumi config set aws:region us-east-1"
    )


def test_logs_are_kept_for_as_many_days_as_cloudwatch_knows() -> None:
    (line,) = refusal(retention={"log_days": 31})
    assert line.startswith("modelstack:retention.log_days = 31: allowed is one of the numbers 1, 3, 5, 7, 14, 30, 60, ")
    shape = get_session().get_service_model("logs").operation_model("PutRetentionPolicy").input_shape
    assert shape is not None
    told = re.sub("<.*?>", "", shape.members["retentionInDays"].documentation)
    assert [int(number) for number in re.findall(r"\d+", told)][: len(LOG_DAYS)] == [*LOG_DAYS]


def test_credentials_in_the_config_are_refused_since_only_pulumis_provider_reads_them() -> None:
    roles = '[{"roleArn": "arn:aws:iam::111122223333:role/deploy"}]'
    config = {"aws:region": REGION, "aws:secretKey": "hush", "aws:assumeRoles": roles, "aws:defaultTags": "{}"}
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(config, "dev")
    _, role, key = str(caught.value).split("\n")
    assert role.startswith("  - aws:assumeRoles: only Pulumi's provider for AWS reads this")
    assert role.endswith("set AWS_PROFILE, to a profile with `role_arn` and `source_profile`")
    assert key.startswith("  - aws:secretKey: ")
    assert key.endswith("`pulumi config rm aws:secretKey`, and set AWS_SECRET_ACCESS_KEY")
    assert "hush" not in str(caught.value)


def test_every_field_of_the_provider_was_looked_at_for_credentials() -> None:
    """The fields are those of the installed SDK, so that a newer one's are looked at too."""
    harmless = {
        *("allowed_account_ids", "custom_ca_bundle", "default_tags", "ec2_metadata_service_endpoint"),
        *("ec2_metadata_service_endpoint_mode", "endpoints", "forbidden_account_ids", "http_proxy", "https_proxy"),
        *("ignore_tags", "insecure", "max_retries", "no_proxy", "region", "retry_mode", "sts_region", "user_agents"),
        *("s3_us_east1_regional_endpoint", "s3_use_path_style", "skip_credentials_validation", "tag_policy_compliance"),
        *("skip_metadata_api_check", "skip_region_validation", "skip_requesting_account_id"),
        *("token_bucket_rate_limiter_capacity", "use_dualstack_endpoint", "use_fips_endpoint"),
    }
    fields = inspect.signature(aws.ProviderArgs.__init__).parameters.keys() - {"__self__"}
    names = {field: "aws:" + re.sub("_(.)", lambda found: found[1].upper(), field) for field in fields}
    refused = {
        problem.path for problem in provider_problems(dict.fromkeys(names.values(), "x") | {"aws:region": REGION})
    }
    assert {field for field, name in names.items() if name not in refused} == harmless


@pytest.mark.parametrize("stack", STACKS)
def test_committed_stack_files_are_valid(stack: str) -> None:
    file = yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())
    content = file["config"]
    values = {key.partition(":")[2]: value for key, value in content.items() if key.startswith("modelstack:")}
    assert load(stack, content["aws:region"], **values).model.name == "flight-delay"
    assert content["aws:region"] == "us-east-1"
    salted = file.get("encryptionsalt", "").startswith("v1:")
    assert salted or not stack.startswith("local"), "without a salt, the first `pulumi up` writes one into the file"


def test_empty_config_takes_the_defaults() -> None:
    settings = load()
    assert [step.weight for step in settings.rollout.strategy.shares()] == [10, 50]
    assert settings.promotion.source is None
    assert load(rollout=None) == settings, "an empty section in the file"


def test_high_resolution_periods_are_for_local_stacks_only() -> None:
    (line,) = refusal("dev", monitoring={"period_seconds": 10})
    assert line == (
        "modelstack:monitoring.period_seconds = 10: SageMaker's metrics come once a minute, so allowed is a multiple "
        "of 60 on AWS"
    )
    assert load("local", monitoring={"period_seconds": 10}).monitoring.period_seconds == 10


def test_prometheus_has_no_minute_to_wait_for() -> None:
    cluster = {
        "registry": "registry.example.org/models",
        "prometheus": "http://prometheus:9090",
        "gateway": {"class": "envoy"},
        "database_secret": "database",
    }
    quick = {"monitoring": {"period_seconds": 10}, "slo": {"window_days": 0.25}, "serving": {"cpu": "1"}}
    settings = load("prod", platform="kubernetes", kubernetes=cluster, **quick)
    assert (settings.monitoring.period_seconds, settings.slo.window_days) == (10, 0.25)


def test_names_that_aws_would_refuse_are_told_before_they_are_made() -> None:
    assert "41 characters; allowed are 40" in refusal("local" + "x" * 10, model={"name": "a" * 25})[0]
    assert "58 characters; allowed are 40" in refusal("local" + "x" * 40)[0], "the model's default name"
    assert "lower-case letters, digits and hyphens" in refusal("local_Staging")[0]


HERE, ELSEWHERE = "must point at the local cloud.*make -s env", "unset AWS_ENDPOINT_URL"


@pytest.mark.parametrize(
    ("stack", "endpoint", "why"),
    [
        ("local-staging", "", HERE),
        ("local-staging", "https://sagemaker.us-east-1.amazonaws.com", HERE),
        ("local-staging", "http://10.0.0.1:4566", HERE),
        ("local", "http://127.0.0.1:4566", None),
        ("local", "http://[::1]:4566", None),
        ("prod", "http://127.0.0.1:4566", ELSEWHERE),
        ("prod", "http://localhost:4566", ELSEWHERE),
        ("prod", "", None),
    ],
)
def test_local_stacks_and_no_others_point_at_the_local_cloud(stack: str, endpoint: str, why: str | None) -> None:
    refused = pytest.raises(pulumi.RunError, match=why) if why else nullcontext()
    with refused:
        check_target(stack, {"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
