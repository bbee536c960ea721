"""What was acknowledged survives `kill -9`."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def mortal(new_cloud):
    cloud = new_cloud()
    cloud.start()
    return cloud


def _make_one_of_each(cloud, functions, policy):
    functions.create("kept")
    functions.allow("kept", Action="s3:*", Resource="*")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="kept", Key="a/b", Body=b"first", Metadata={"digest": "1"})
    s3.put_object(Bucket="kept", Key="a/b", Body=b"second", Metadata={"digest": "2"})
    topic = cloud.client("sns").create_topic(Name="kept")["TopicArn"]
    queue = cloud.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:000000000000:kept"
    allowed = policy(Principal={"Service": "sns.amazonaws.com"}, Action="sqs:SendMessage", Resource=arn)
    cloud.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": allowed})
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    cloud.client("events").put_rule(Name="kept", ScheduleExpression="rate(1 hour)")
    cloud.client("events").put_targets(Rule="kept", Targets=[{"Id": "1", "Arn": arn}])
    cloud.client("dynamodb").create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    cloud.client("dynamodb").put_item(TableName="kept", Item={"endpoint": {"S": "e"}, "revision": {"N": "7"}})
    cloud.client("ecr").create_repository(repositoryName="kept-serving")
    cloud.client("logs").create_log_group(logGroupName="/kept")
    key = cloud.client("kms").create_key()["KeyMetadata"]["KeyId"]
    sealed = cloud.client("kms").encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    cloud.client("sns").publish(TopicArn=topic, Message="the last thing before the kill")
    return queue, sealed


def test_every_service_comes_back_after_kill_nine(mortal, functions_of, policy):
    functions = functions_of(mortal)
    queue, sealed = _make_one_of_each(mortal, functions, policy)
    mortal.kill()
    mortal.start()

    s3 = mortal.client("s3")
    kept = s3.get_object(Bucket="kept", Key="a/b")
    assert (kept["Body"].read(), kept["Metadata"]) == (b"second", {"digest": "2"})
    versions = s3.list_object_versions(Bucket="kept")["Versions"]
    assert [s3.get_object(Bucket="kept", Key="a/b", VersionId=v["VersionId"])["Body"].read() for v in versions] == [
        b"second",
        b"first",
    ]
    assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"
    messages = mortal.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(messages[0]["Body"])["Message"] == "the last thing before the kill"
    assert mortal.client("events").list_targets_by_rule(Rule="kept")["Targets"][0]["Id"] == "1"
    item = mortal.client("dynamodb").get_item(TableName="kept", Key={"endpoint": {"S": "e"}})["Item"]
    assert item["revision"] == {"N": "7"}
    assert mortal.client("ecr").describe_repositories()["repositories"][0]["repositoryName"] == "kept-serving"
    assert mortal.client("logs").describe_log_groups(logGroupNamePrefix="/kept")["logGroups"]
    assert mortal.client("kms").decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    assert mortal.client("lambda").get_function(FunctionName="kept")["Configuration"]["State"] == "Active"
    assert functions.call("kept", "s3", "put_object", Bucket="kept", Key="k", Body="x") == "done"


def test_a_key_that_signs_is_the_same_key_after_kill_nine(mortal):
    kms = mortal.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    public = kms.get_public_key(KeyId=key)["PublicKey"]
    asked = {
        "KeyId": key,
        "Message": hashlib.sha256(b"kept").digest(),
        "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256",
    }
    signature = kms.sign(**asked)["Signature"]
    mortal.kill()
    mortal.start()
    kms = mortal.client("kms")
    assert kms.get_public_key(KeyId=key)["PublicKey"] == public
    assert kms.verify(**asked, Signature=signature)["SignatureValid"]
    assert kms.verify(**asked, Signature=kms.sign(**asked)["Signature"])["SignatureValid"]
    with pytest.raises(ClientError, match="KMSInvalidSignatureException"):
        kms.verify(**{**asked, "Message": hashlib.sha256(b"changed").digest()}, Signature=signature)


def test_a_function_killed_the_moment_it_was_made_is_ready_when_it_is_back(mortal, functions_of):
    functions_of(mortal).create("early")
    mortal.client("lambda").update_function_configuration(FunctionName="early", Timeout=9)
    mortal.kill()
    mortal.start()
    configuration = mortal.client("lambda").get_function(FunctionName="early")["Configuration"]
    assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")
    assert configuration["Timeout"] == 9


def test_temporary_credentials_are_good_until_they_expire(mortal, policy):
    trust = policy(Principal={"AWS": "arn:aws:iam::000000000000:root"}, Action="sts:AssumeRole")
    role = mortal.client("iam").create_role(RoleName="session", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    keys = mortal.client("sts").assume_role(RoleArn=role, RoleSessionName="person")["Credentials"]
    mortal.kill()
    mortal.start()
    sts = mortal.client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    assert sts.get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/session/person"


def test_an_accepted_event_runs_after_kill_nine(mortal, functions_of, eventually):
    functions = functions_of(mortal)
    mortal.client("s3").create_bucket(Bucket="accepted")
    functions.create("accepted", bucket="accepted")
    functions.allow("accepted", Action="s3:PutObject", Resource="*")
    mortal.client("lambda").invoke(FunctionName="accepted", InvocationType="Event", Payload=b'{"n": 1}')
    mortal.kill()
    mortal.start()
    assert eventually(lambda: mortal.client("s3").list_objects_v2(Bucket="accepted").get("Contents"))


def test_a_hundred_acknowledged_writes_are_all_there_wherever_the_kill_falls(mortal):
    mortal.client("dynamodb").create_table(
        TableName="hundred",
        KeySchema=[{"AttributeName": "n", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "n", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb = mortal.client("dynamodb")
    for n in range(100):
        dynamodb.put_item(TableName="hundred", Item={"n": {"S": str(n)}})
    mortal.kill()
    mortal.start()
    assert mortal.client("dynamodb").scan(TableName="hundred")["Count"] == 100


def test_log_events_come_back_when_they_are_a_few_seconds_old(mortal):
    logs = mortal.client("logs")
    logs.create_log_group(logGroupName="/old")
    logs.create_log_stream(logGroupName="/old", logStreamName="s")
    event = {"timestamp": int(time.time() * 1000), "message": "hello"}
    logs.put_log_events(logGroupName="/old", logStreamName="s", logEvents=[event])
    time.sleep(3)
    mortal.kill()
    mortal.start()
    found = mortal.client("logs").get_log_events(logGroupName="/old", logStreamName="s")["events"]
    assert [entry["message"] for entry in found] == ["hello"]


def test_an_object_is_written_once_and_the_bucket_not_again(mortal):
    s3 = mortal.client("s3")
    s3.create_bucket(Bucket="once")
    s3.put_object(Bucket="once", Key="big", Body=b"x" * 1_000_000)
    files = [mortal.state / "ministack" / "s3.json", mortal.state / "s3" / "000000000000" / "once" / "big"]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    for n in range(10):
        s3.put_object(Bucket="once", Key=f"small-{n}", Body=b"x")
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before


def test_an_image_comes_back_and_its_layers_are_written_once(mortal):
    ecr = mortal.client("ecr")
    ecr.create_repository(repositoryName="layers")
    login = f"Basic {ecr.get_authorization_token()['authorizationData'][0]['authorizationToken']}"
    registry, layer = f"{mortal.url}/v2/layers", bytes(range(256)) * 4096
    digest = "sha256:" + hashlib.sha256(layer).hexdigest()

    def send(method: str, url: str, body: bytes, content_type: str):
        headers = {"Content-Type": content_type, "Authorization": login}
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method, headers=headers)) as answer:
            return answer.headers

    place = send("POST", f"{registry}/blobs/uploads/", b"", "application/octet-stream")["Location"]
    send("PUT", f"{urllib.parse.urljoin(mortal.url, place)}?digest={digest}", layer, "application/octet-stream")
    blob = mortal.state / "ministack" / "blobs" / digest.removeprefix("sha256:")
    written = blob.stat().st_mtime_ns
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    part = {"mediaType": "application/octet-stream", "size": len(layer), "digest": digest}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": part, "layers": [part]}).encode()
    send("PUT", f"{registry}/manifests/v1", manifest, kind)
    mortal.kill()
    mortal.start()
    pulled = urllib.request.Request(f"{registry}/blobs/{digest}", headers={"Authorization": login})
    with urllib.request.urlopen(pulled) as answer:
        assert answer.read() == layer
    images = mortal.client("ecr").list_images(repositoryName="layers")["imageIds"]
    assert images == [{"imageTag": "v1", "imageDigest": "sha256:" + hashlib.sha256(manifest).hexdigest()}]
    assert blob.stat().st_mtime_ns == written


def test_a_damaged_state_file_stops_the_start_and_is_named(new_cloud):
    cloud = new_cloud()
    damaged = cloud.state / "ministack" / "iam.json"
    damaged.parent.mkdir()
    damaged.write_text('{"payload": ')
    with pytest.raises(Exception, match=r"iam\.json cannot be read"):
        cloud.start()
    assert damaged.read_text() == '{"payload": '


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        yield None
        return
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(cloud, disk: Path | None) -> Path | None:
    """Leave no room to the running cloud: on its small disk, or, where none can be mounted, by its process limit."""
    if disk is None:
        resource.prlimit(cloud.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return None
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


def _log(cloud) -> None:
    """Write log events until one is refused; the first ones are taken before their write is tried."""
    for _ in range(5):
        event = {"timestamp": int(time.time() * 1000), "message": "x" * 10_000}
        cloud.client("logs").put_log_events(logGroupName="/full", logStreamName="s", logEvents=[event])
        time.sleep(1)


@pytest.fixture
def cramped(new_cloud, tiny_disk):
    """A cloud on the tiny disk, where one could be mounted."""
    cloud = new_cloud()
    if tiny_disk is not None:
        cloud.state = tiny_disk / "state"
    cloud.start()
    yield cloud
    cloud.stop()


def test_a_full_disk_is_an_error_to_the_client_and_nothing_acknowledged_is_lost(cramped, tiny_disk):
    cloud = cramped
    cloud.client("s3").create_bucket(Bucket="full")
    cloud.client("s3").put_object(Bucket="full", Key="before", Body=b"kept")
    cloud.client("logs").create_log_group(logGroupName="/full")
    cloud.client("logs").create_log_stream(logGroupName="/full", logStreamName="s")
    ballast = _fill(cloud, tiny_disk)
    with pytest.raises(ClientError, match=r"\(InternalFailure\).*cannot be saved: (No space left|File too large)"):
        cloud.client("s3").put_object(Bucket="full", Key="after", Body=b"x" * 100_000)
    with pytest.raises(ClientError, match=r"\(InternalFailure\).*state of iam cannot be saved"):
        cloud.client("iam").create_user(UserName="nobody")
    assert cloud.client("s3").get_object(Bucket="full", Key="before")["Body"].read() == b"kept"
    with pytest.raises(ClientError, match="InternalFailure"):
        _log(cloud)
    cloud.kill()
    if ballast is not None:
        ballast.unlink()
    cloud.start()
    assert cloud.client("s3").get_object(Bucket="full", Key="before")["Body"].read() == b"kept"
    assert cloud.client("iam").list_users()["Users"] == []
