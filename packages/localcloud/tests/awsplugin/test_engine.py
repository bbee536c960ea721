"""The real engine, the real SDK and a real cloud, with the plugin between them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.awsplugin.schema import schema
from localcloud.setup import awsplugin
from localcloud.setup.places import Places

pytestmark = pytest.mark.e2e

PULUMI = Places.here().engine / "pulumi"

PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
tags = {"stage": config.get("stage") or "test"}
services = {"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]}
trust = {"Effect": "Allow", "Principal": services, "Action": "sts:AssumeRole"}

account = aws.get_caller_identity().account_id
key = aws.kms.Key("key", enable_key_rotation=True, deletion_window_in_days=7, tags=tags)
bucket = aws.s3.Bucket("data", force_destroy=True, tags=tags)
aws.s3.BucketVersioning("data", bucket=bucket.id, versioning_configuration={"status": "Enabled"})
deny = {
    "Effect": "Deny",
    "Action": "s3:*",
    "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
    "Principal": {"AWS": "*"},
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
tls = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [deny]})
aws.s3.BucketPolicy("data", bucket=bucket.id, policy=tls)
role = aws.iam.Role("role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
aws.iam.RolePolicyAttachment(
    "logs", role=role.name, policy_arn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
)
queue = aws.sqs.Queue("failed", message_retention_seconds=1209600)
text = "def handler(event, context):\\n    return " + (config.get("answer") or "1")
function = aws.lambda_.Function(
    "function",
    role=role.arn,
    runtime="python3.11",
    handler="index.handler",
    code=pulumi.AssetArchive({"index.py": pulumi.StringAsset(text)}),
    environment={"variables": {"TOKEN": pulumi.Output.secret("hush")}},
    dead_letter_config={"target_arn": queue.arn},
)
rule = aws.cloudwatch.EventRule("tick", schedule_expression="rate(1 day)")
aws.lambda_.Permission(
    "tick",
    function=function.name,
    action="lambda:InvokeFunction",
    principal="events.amazonaws.com",
    source_arn=rule.arn,
)
aws.cloudwatch.EventTarget("tick", rule=rule.name, arn=function.arn)
table = aws.dynamodb.Table(
    "journal",
    attributes=[{"name": "endpoint", "type": "S"}],
    hash_key="endpoint",
    billing_mode="PAY_PER_REQUEST",
    point_in_time_recovery={"enabled": True},
)
refuse = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": queue.arn}}
aws.sagemaker.Pipeline(
    "flow",
    pipeline_name="engine-flow",
    pipeline_display_name="flow",
    role_arn=role.arn,
    pipeline_definition=pulumi.Output.json_dumps({"Version": "2020-12-01", "Steps": [refuse]}),
)
group = aws.sagemaker.ModelPackageGroup("models", model_package_group_name=config.get("group") or "engine-models")

for name, value in {
    "account": account, "bucket": bucket.bucket, "function": function.name, "hash": function.source_code_hash,
    "queue": queue.url, "table": table.name, "tags": bucket.tags_all, "role": role.name, "key": key.key_id,
}.items():
    pulumi.export(name, value)
"""

COUNT = 15  # resources, the stack itself among them
DESCRIBED = PROGRAM.replace('or "engine-models"', 'or "engine-models", model_package_group_description="all"')
ADOPTED = """
aws.sqs.Queue("adopted", name="imported", message_retention_seconds=60)
"""


class Stack:
    """A project of its own, with the plugin in a PULUMI_HOME of its own."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder / "project"
        self.environ = {
            **environ,
            "PATH": f"{PULUMI.parent}{os.pathsep}{environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        (folder / "state").mkdir()
        self.folder.mkdir()
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (self.folder / "Pulumi.yaml").write_text(json.dumps({"name": "engine", "runtime": runtime}))
        self.program(PROGRAM)
        packed = folder / "aws.tgz"
        packed.write_bytes(awsplugin.tarball(awsplugin.launcher(Path(sys.executable))))
        self.run("plugin", "install", "resource", "aws", schema().sdk, "--file", str(packed))
        self.run("stack", "init", "test")

        self.foreseen = ""
        """What a preview said when nothing was there."""
        self.untouched = False
        """Whether that preview created nothing."""
        self.endpoints: list[str] = []
        """What was made again after a kill, still there when all is destroyed."""

    def program(self, text: str) -> None:
        """Replace the program."""
        (self.folder / "__main__.py").write_text(text)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `pulumi WORDS`."""
        command = [str(PULUMI), *words, "--non-interactive", "--color", "never"]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str, fails: bool = False) -> str:
        """Run `pulumi WORDS`; its output."""
        process = self.start(*words)
        output, _ = process.communicate(timeout=200)
        assert (process.returncode != 0) == fails, output
        return output

    def up(self, *words: str, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", *words, fails=fails)

    @property
    def outputs(self) -> dict[str, Any]:
        return json.loads(self.run("stack", "output", "--json"))

    @property
    def deployment(self) -> str:
        return self.run("stack", "export")


@pytest.fixture(scope="module")
def stack(hosting: Any, shell_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The program above, up. Tests run in the order of this file and leave it as the program says."""
    stack = Stack(tmp_path_factory.mktemp("engine"), shell_of(hosting))
    before = hosting.client("dynamodb").list_tables()["TableNames"]
    stack.foreseen = stack.run("preview")
    stack.untouched = hosting.client("dynamodb").list_tables()["TableNames"] == before
    stack.up()
    yield stack
    stack.run("destroy", "--yes", "--skip-preview")


def test_a_preview_knows_names_and_creates_nothing(stack: Stack) -> None:
    assert f"+ {COUNT} to create" in stack.foreseen
    assert re.search(r'bucket +: "data-[0-9a-f]{7}"', stack.foreseen)
    assert stack.untouched


def test_outputs_are_what_is_there(stack: Stack, hosting: Any) -> None:
    found = stack.outputs
    live = hosting.client("lambda").get_function_configuration(FunctionName=found["function"])
    assert live["CodeSha256"] == found["hash"]
    pipeline = hosting.client("sagemaker").describe_pipeline(PipelineName="engine-flow")
    assert (
        found["queue"].rpartition("/")[2]
        in json.loads(pipeline["PipelineDefinition"])["Steps"][0]["Arguments"]["ErrorMessage"]
    )
    assert found["account"] == "000000000000"
    assert found["tags"] == {"stage": "test"}


def test_a_secret_input_is_no_plain_text_in_the_state(stack: Stack) -> None:
    assert "hush" not in stack.deployment
    assert "hush" in stack.run("stack", "export", "--show-secrets")


def test_drift_is_shown_by_a_refresh_and_repaired_by_an_update(stack: Stack, hosting: Any) -> None:
    found = stack.outputs
    hosting.client("s3").put_bucket_versioning(Bucket=found["bucket"], VersioningConfiguration={"Status": "Suspended"})
    hosting.client("kms").disable_key_rotation(KeyId=found["key"])
    hosting.client("dynamodb").delete_table(TableName=found["table"])
    zipped = hosting.client("lambda").get_function(FunctionName=found["function"])["Configuration"]["CodeSha256"]
    hosting.client("lambda").update_function_code(FunctionName=found["function"], ZipFile=other_code())
    output = stack.run("preview", "--refresh", "--diff")
    assert re.search(r'status: "Suspended" => "Enabled"', output)
    assert re.search(r"enableKeyRotation: false => true", output)
    assert "+ aws:dynamodb/table:Table: (create)" in output
    assert "~ aws:lambda/function:Function: (update)" in output
    output = stack.up("--refresh")
    assert "~ 3 updated" in output
    assert "+ 1 created" in output
    live = hosting.client("lambda").get_function_configuration(FunctionName=found["function"])
    assert live["CodeSha256"] == zipped


def test_a_second_update_and_a_refresh_change_nothing(stack: Stack) -> None:
    assert f"{COUNT} unchanged" in stack.up("--refresh", "--expect-no-changes")


def test_new_code_is_an_update_that_the_preview_foresees(stack: Stack, hosting: Any) -> None:
    before = stack.outputs["hash"]
    stack.run("config", "set", "answer", "2")
    assert "~ aws:lambda/function:Function: (update)" in stack.run("preview", "--diff")
    stack.up()
    found = stack.outputs
    assert found["hash"] != before
    answer = hosting.client("lambda").invoke(FunctionName=found["function"])
    assert answer["Payload"].read() == b"2"


def test_the_providers_default_tags_reach_every_resource(stack: Stack, hosting: Any) -> None:
    stack.run("config", "set", "--path", "aws:defaultTags.tags.team", "models")
    stack.up()
    found = stack.outputs
    assert found["tags"] == {"stage": "test", "team": "models"}
    assert hosting.client("sqs").list_queue_tags(QueueUrl=found["queue"])["Tags"] == {"team": "models"}
    assert f"{COUNT} unchanged" in stack.up("--refresh", "--expect-no-changes")
    stack.run("config", "rm", "--path", "aws:defaultTags")  # the next update takes them away


def test_a_fixed_name_is_freed_before_it_is_taken_again(stack: Stack, hosting: Any) -> None:
    stack.program(DESCRIBED)
    assert "+-1 replaced" in stack.up().replace("+- 1", "+-1")
    queue = stack.outputs["queue"]
    assert hosting.client("sqs").list_queue_tags(QueueUrl=queue).get("Tags", {}) == {}, "default tags went with it"


def test_a_wrong_property_fails_before_anything_is_made(stack: Stack, hosting: Any) -> None:
    before = hosting.client("s3").list_buckets()["Buckets"]
    stack.program('import pulumi_aws as aws\naws.s3.Bucket("bad", acl="private")\n')
    output = stack.run("preview", fails=True)
    assert "aws:s3/bucket:Bucket resource 'bad'" in output
    assert "property acl" in output
    assert "does not support 'acl' of aws:s3/bucket:Bucket; it supports bucket, " in output
    assert "Traceback" not in output
    stack.program('import pulumi_aws as aws\naws.ec2.Vpc("bad")\n')
    assert "the local AWS plugin does not serve aws:ec2/vpc:Vpc. It serves: " in stack.run("preview", fails=True)
    stack.program(PROGRAM)
    assert hosting.client("s3").list_buckets()["Buckets"] == before


def test_what_exists_already_is_imported_by_its_id(stack: Stack, hosting: Any) -> None:
    hosting.client("sqs").create_queue(QueueName="imported", Attributes={"MessageRetentionPeriod": "60"})
    url = hosting.client("sqs").get_queue_url(QueueName="imported")["QueueUrl"]
    option = f"opts=pulumi.ResourceOptions(import_={url!r})"
    stack.program(DESCRIBED + ADOPTED.replace("=60)", f"=60, {option})"))
    output = stack.up()
    assert "= 1 imported" in output
    assert f"{COUNT} unchanged" in output, "the update before left nothing to do"
    missing = f'aws.sqs.Queue("none", opts=pulumi.ResourceOptions(import_="{url}-none"))'
    stack.program(f"{DESCRIBED}\n{missing}\n")
    assert "does not exist" in stack.run("preview", fails=True)


def test_an_import_by_hand_ends_well_and_shows_what_to_declare(stack: Stack, hosting: Any) -> None:
    url = hosting.client("sqs").create_queue(QueueName="by-hand", Attributes={"DelaySeconds": "7"})["QueueUrl"]
    output = stack.run("import", "aws:sqs/queue:Queue", "found", url, "--yes", "--skip-preview", "--protect=false")
    assert "= 1 imported" in output
    shown = [line.strip("# ") for line in output.splitlines() if line.startswith("#")]
    assert 'resource "found" "aws:sqs/queue:Queue" {' in shown or 'resource found "aws:sqs/queue:Queue" {' in shown
    assert "delaySeconds = 7" in [" ".join(line.split()) for line in shown]
    stack.program(DESCRIBED + ADOPTED)
    assert "- 1 deleted" in stack.up(), "which the program does not declare"


def test_a_refusal_of_the_cloud_is_told_without_a_traceback(stack: Stack) -> None:
    stack.program(f'{DESCRIBED}{ADOPTED}\naws.sagemaker.Endpoint("bad", endpoint_config_name="none")\n')
    output = stack.up(fails=True)
    assert re.search(r"CreateEndpoint: ValidationException: Could not find endpoint configuration", output)
    assert "Traceback" not in output
    stack.program(DESCRIBED + ADOPTED)
    unchanged = stack.up("--expect-no-changes")
    assert f"{COUNT + 1} unchanged" in unchanged, "no pending operation is left, and the imported queue is as any other"


def test_an_endpoint_whose_update_was_interrupted_is_imported_with_the_config_that_it_serves(
    stack: Stack, world: Any, hosting: Any, tmp_path: Path
) -> None:
    name, config, other = world.name("slow"), world.config("slow", until=str(tmp_path / "go")), world.config("other")
    endpoint = f'aws.sagemaker.Endpoint("slow", name="{name}", endpoint_config_name="{config}")'
    stack.program(f"{DESCRIBED}\n{endpoint}\n")
    process = stack.start("up", "--yes", "--skip-preview")
    sagemaker = hosting.client("sagemaker")
    deadline = time.monotonic() + 200
    while not sagemaker.list_endpoints(NameContains=name)["Endpoints"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=200)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert f'"id": "{name}"' not in stack.deployment, "as with the genuine provider"
    (tmp_path / "go").touch()
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "InService":
        time.sleep(0.05)
    ignored = "opts=pulumi.ResourceOptions(ignore_changes=['endpoint_config_name']"
    imported = endpoint.replace(config, other)[:-1] + f", {ignored}, import_={name!r}))"
    stack.program(f"{DESCRIBED}\n{imported}\n")
    output = stack.up()
    assert "= 1 imported" in output
    assert "- 1 deleted" in output, "the queue that was imported"
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == config
    assert f"{COUNT + 1} unchanged" in stack.up("--expect-no-changes"), "to import what is in the state is no change"


def test_an_update_that_was_killed_is_finished_by_the_next(
    stack: Stack, world: Any, hosting: Any, tmp_path: Path
) -> None:
    name, config = world.name("killed"), world.config("killed", until=str(tmp_path / "go"))
    made = f"""
aws.cloudwatch.LogGroup("killed", name="/{name}", retention_in_days=7)
aws.sagemaker.Endpoint("killed", name="{name}", endpoint_config_name="{config}")
"""
    stack.program(DESCRIBED + made)
    process = stack.start("up", "--yes", "--skip-preview")
    sagemaker = hosting.client("sagemaker")
    deadline = time.monotonic() + 200
    while not sagemaker.list_endpoints(NameContains=name)["Endpoints"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)  # the engine writes that the step began: killed in the midst of that, it leaves a state cut off
    process.kill()
    process.communicate(timeout=200)
    (tmp_path / "go").touch()
    assert f'"id": "{name}"' not in stack.deployment, "the endpoint is there, and not in the state"
    stack.run("cancel", "--yes")
    stack.up()
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService"
    assert f"{COUNT + 2} unchanged" in stack.up("--expect-no-changes")
    stack.endpoints.append(name)


def test_after_destroy_nothing_is_left(stack: Stack, hosting: Any) -> None:
    found = stack.outputs
    hosting.client("s3").put_object(Bucket=found["bucket"], Key="a", Body=b"1")
    hosting.client("s3").put_object(Bucket=found["bucket"], Key="a", Body=b"2")
    stack.run("destroy", "--yes", "--skip-preview")
    assert found["bucket"] not in {b["Name"] for b in hosting.client("s3").list_buckets()["Buckets"]}
    assert found["table"] not in hosting.client("dynamodb").list_tables()["TableNames"]
    assert found["role"] not in {r["RoleName"] for r in hosting.client("iam").list_roles()["Roles"]}
    functions = hosting.client("lambda").list_functions()["Functions"]
    assert found["function"] not in {f["FunctionName"] for f in functions}
    assert found["queue"] not in hosting.client("sqs").list_queues().get("QueueUrls", [])
    assert hosting.client("kms").describe_key(KeyId=found["key"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert stack.endpoints
    for name in stack.endpoints:
        assert hosting.client("sagemaker").list_endpoints(NameContains=name)["Endpoints"] == []
    groups = hosting.client("sagemaker").list_model_package_groups(NameContains="engine-models")
    assert groups["ModelPackageGroupSummaryList"] == []
    assert json.loads(stack.deployment)["deployment"].get("resources", []) == []


def other_code() -> bytes:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return 'not ours'\n")
    return buffer.getvalue()
