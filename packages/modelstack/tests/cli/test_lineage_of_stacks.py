"""`modelstack lineage` and `trace` on a mocked AWS: what is signed is proven, what cannot be read is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from modelstack.cli.commands import proving
from modelstack.cli.errors import OperatorError
from modelstack.cli.lineage import read as reading
from modelstack.cli.main import main
from modelstack.cli.target import Target
from modelstack.cli.target_options import TargetOptions
from modelstack.platforms.aws.audit_records import S3Records
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.records.audit.record import Entry, RecordKind
from modelstack.records.provenance.evidence import sign
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.state import RolloutState
from modelstack.services.approvals import Approval
from modelstack.services.sealed_packages import folder_of
from tests.captured import line
from tests.platforms.aws.mocked import journal_table, mocked_aws
from tests.records.audit.made import Key
from tests.records.lineage.recorded import ADA, BOB, CI, DIGEST, OURS
from tests.records.provenance.conftest import FACTS
from tests.rollout.worlds import release as make_release

pytestmark = pytest.mark.slow

AUDIT = Key()
SIGNER = KeyPair.new()
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/flight-delay-serving:process"


def register(make: Clients, stack: str, **more: str) -> str:
    """Register the package as `modelstack.platforms.aws.versions` does; returns the version's ARN."""
    sagemaker, name = make("sagemaker"), f"flight-delay-{stack}"
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return sagemaker.create_model_package(
        ModelPackageGroupName=name,
        ModelPackageDescription=f"recipe {OURS}, archive {DIGEST}",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{name}/{folder_of(DIGEST)}/model.tar.gz"}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        CustomerMetadataProperties={
            "recipe": FACTS.recipe.digest,
            "package_digest": DIGEST,
            "manifest_sha256": "b" * 64,
            "metric.auc": "0.7",
            **more,
        },
    )["ModelPackageArn"]


def serve(make: Clients, stack: str, who: str) -> None:
    name = f"flight-delay-{stack}"
    release = replace(make_release("a"), id=OURS, package_digest=DIGEST, recipe=FACTS.recipe.digest)
    state = replace(RolloutState(name), champion=release)
    told = {"release": OURS, "package": DIGEST, "rollout": "r-1"}
    state = state.recording(Entry(1_700_000_000.0, RecordKind.RELEASE, {**told, "event": "moving"}))
    state = state.recording(Entry(1_700_000_009.0, RecordKind.PROMOTION, {**told, "event": "promoted"}))
    journal = copied_journal(make, "rollouts", name, who)
    written = journal.write(state)
    S3Records.of(make, name, AUDIT).put(written.audit.waiting[0])
    journal.write(replace(written, audit=written.audit.kept(1)))


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """Stack dev, which made the package, and stack prod, which took it."""
    monkeypatch.setenv("COLUMNS", "400")
    with mocked_aws(monkeypatch) as make:
        journal_table(make)
        targets = {}
        for stack in ("dev", "prod"):
            name = f"flight-delay-{stack}"
            make("s3").create_bucket(Bucket=name)
            outputs = {"artifact_bucket": name, "package_group": name, "journal_table": "rollouts"}
            outputs |= {"signing_key": SIGNER.public_key.decode()}
            targets[stack] = Target(stack, name, "us-east-1", outputs)
        made = register(make, "dev", registered_by=CI)
        register(make, "prod", registered_by=BOB, promoted_from=made)
        for stack, who in (("dev", CI), ("prod", BOB)):
            store = BucketPackageStore(f"flight-delay-{stack}", make("s3"))
            store.put_evidence(sign(FACTS, SIGNER), cast(Any, SimpleNamespace(digest=DIGEST)), SIGNER.public_key)
            serve(make, stack, who)
        monkeypatch.setattr(proving, "find", lambda _: targets["dev"])
        monkeypatch.setattr(reading, "siblings", lambda _: ["prod"])
        monkeypatch.setattr(reading, "resolve", targets.__getitem__)
        yield make


def typed(*words: str, command: str = "lineage") -> Result:
    return CliRunner().invoke(main, [command, *words])


def seen(*words: str) -> dict[str, Any]:
    told = typed(*words, "--json")
    assert told.exit_code == 0, told.output
    return json.loads(told.output)


def labels(found: dict[str, Any], *kinds: str) -> list[str]:
    return [node["label"] for node in found["nodes"] if node["kind"] in kinds]


def test_the_chain_reaches_from_the_commit_to_the_endpoints_of_both_stacks_and_their_people(stacks: Clients) -> None:
    found = seen(DIGEST[7:15])
    assert (found["package"], found["unread"]) == (DIGEST, [])
    assert labels(found, "commit") == [f"commit {'1' * 12}"]
    assert labels(found, "version") == ["flight-delay-dev version 1", "flight-delay-prod version 1"]
    assert labels(found, "endpoint") == ["endpoint flight-delay-dev", "endpoint flight-delay-prod"]
    assert sorted(labels(found, "person")) == ["assumed-role/deploy/ci", "user/bob"]
    assert [node["facts"]["verified"] for node in found["nodes"] if node["kind"] == "key"] == [True]
    served = [edge for edge in found["edges"] if edge["kind"] == "served"]
    assert [(edge["at"], edge["until"]) for edge in served] == [("2023-11-14T22:13:29.000Z", "")] * 2


def test_without_a_word_it_is_the_champions_and_told_as_a_tree(stacks: Clients) -> None:
    told = typed()
    assert told.exit_code == 0, told.output
    assert told.output.startswith(f"{DIGEST}\n")
    assert "promoted to flight-delay-prod version 1" in told.output


def test_who_agreed_is_told_before_the_release_begins(stacks: Clients) -> None:
    given = Approval(OURS, DIGEST, ADA, "looks well", 1_700_000_000.0)
    body = json.dumps(vars(given)).encode()
    stacks("s3").put_object(Bucket="flight-delay-dev", Key=f"approvals/{OURS}/ada.json", Body=body)
    (agreed,) = [edge for edge in seen()["edges"] if edge["kind"] == "agreed"]
    assert (agreed["source"], agreed["why"], agreed["at"]) == (f"who:{ADA}", "looks well", "2023-11-14T22:13:20.000Z")


def forge(make: Clients, change: Callable[[bytes], bytes]) -> None:
    for bucket in ("flight-delay-dev", "flight-delay-prod"):
        listed = make("s3").list_objects_v2(Bucket=bucket, Prefix=f"{folder_of(DIGEST)}/documents/")["Contents"]
        (key,) = [item["Key"] for item in listed if item["Key"].endswith("facts.json")]
        body = make("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        make("s3").put_object(Bucket=bucket, Key=key, Body=change(body))


def test_facts_that_are_not_what_was_signed_are_not_shown(stacks: Clients) -> None:
    forge(stacks, lambda body: body.replace(b"1" * 40, b"6" * 40))
    found = seen()
    assert not labels(found, "commit", "data")
    assert [line.partition(":")[0] for line in found["unread"]] == ["the documents of sha256"] * 2
    assert "facts.json has sha256" in found["unread"][0]


def test_a_stack_that_cannot_be_asked_is_named_and_its_version_still_is(
    stacks: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> Target:
        raise OperatorError("AccessDenied: no")

    monkeypatch.setattr(reading, "resolve", refuse)
    found = seen()
    assert found["unread"] == ["stack prod: AccessDenied: no"]
    assert labels(found, "endpoint") == ["endpoint flight-delay-dev"]


def test_a_stack_of_another_account_is_named_with_its_account_and_not_asked(
    stacks: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(account: str) -> Target:
        found = proving.find(TargetOptions())
        return replace(found, outputs={**found.outputs, "alerts_topic": f"arn:aws:sns:us-east-1:{account}:alerts"})

    here, there = of("000000000000"), of("222222222222")
    monkeypatch.setattr(proving, "find", lambda _: here)
    monkeypatch.setattr(reading, "resolve", lambda _: there)
    found = seen()
    assert found["unread"] == [
        "stack prod: it is in account 222222222222, and was asked with credentials of account 000000000000"
    ]
    assert labels(found, "version") == ["flight-delay-dev version 1"]


def test_a_record_that_cannot_be_read_is_named(stacks: Clients) -> None:
    stacks("s3").put_object(Bucket="flight-delay-dev", Key="audit/0000000001.json", Body=b"{}")
    assert any(line.startswith("audit record 1 of flight-delay-dev") for line in seen()["unread"])


def answered(make: Clients, *names: str, variant: str = f"v-{OURS}") -> None:
    """Capture answers that stack dev gave 40 s after its package was released."""
    at = "2023-11-14T22:14:00Z"
    body = b"\n".join(line(eventId=f"e-{name}", inferenceId=name, inferenceTime=at) for name in names)
    key = f"capture/flight-delay-dev/{variant}/2023/11/14/22/{names[0]}.jsonl"
    make("s3").put_object(Bucket="flight-delay-dev", Key=key, Body=body)


def test_an_answer_leads_to_the_commit_and_to_who_released_its_version(stacks: Clients) -> None:
    answered(stacks, "order-17", "order-18")
    told = typed("order-17", "--at", "2023-11-14T22:30", "--json", command="trace")
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    when = {"event_id": "e-order-17", "at": "2023-11-14T22:14:00.000Z"}
    assert found["prediction"] == {"inference_id": "order-17", "variant": f"v-{OURS}", **when}
    assert (found["role"], found["release"], found["package"]) == ("champion", OURS, DIGEST)
    assert (found["commit"]["commit"], found["data"]["sha256"]) == ("1" * 40, FACTS.recipe.data)
    assert {one["did"]: one["who"] for one in found["people"]}["began"] == CI
    assert (found["made"]["by"], found["rollout"]["id"]) == ("local", "r-1")
    assert [line.partition(":")[0] for line in found["unread"]] == ["looking into the ledger of labels"]
    page = typed("e-order-18", command="trace")
    assert (page.exit_code, "order-18" in page.output, "assumed-role/deploy/ci" in page.output) == (0, True, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("order-17", "--at", "2023-11-13"), 1, "0 files of captures"),
        (("order-17", "--at", "noon"), 2, "'noon' is no time. Give one in UTC"),
        (("order-17", "--at", "2023-11-14", "--since", "2023-11-14"), 2, "both say when it was"),
        (("x" * 201,), 2, "ID has 201 characters"),
        (("e-order-19",), 0, "nothing that was looked at knows of it any more"),
    ],
)
def test_what_an_id_does_not_tell_is_said(stacks: Clients, words: tuple[str, ...], code: int, said: str) -> None:
    answered(stacks, "order-17", "order-18")
    answered(stacks, "order-19", variant="v-000000000000")
    told = typed(*words, command="trace")
    assert (told.exit_code, said in " ".join(told.output.split())) == (code, True), told.output
