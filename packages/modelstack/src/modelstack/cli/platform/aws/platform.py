"""The commands' adapter for an endpoint on AWS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from modelstack.cli.errors import UNKNOWN, OperatorError, explained
from modelstack.cli.platform.aws import alarms, counted
from modelstack.cli.platform.facts import AlarmInFull, AlarmView, EndpointState, QualityView, ServedView, Spent
from modelstack.cli.platform.port import Platform
from modelstack.cli.target import LOCAL
from modelstack.monitoring.objectives.slo import Objective
from modelstack.monitoring.predictions import Searched, Window, of_entry
from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.platforms.aws.clients import DENIED, clients
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.identity import caller_if_told
from modelstack.platforms.aws.invoke import SageMakerInvoke, signed
from modelstack.platforms.aws.journal import champion, copied_journal, role_for
from modelstack.platforms.aws.names import LABELS
from modelstack.platforms.aws.names import documents as documents_table
from modelstack.platforms.aws.traffic import live_of
from modelstack.platforms.aws.training import DynamoBook
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import PROCESS, Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.batches import quality
from modelstack.services.invoke import JSON

if TYPE_CHECKING:
    from modelstack.cli.platform.aws.graphs import CloudWatchGraphs
    from modelstack.cli.platform.package_store import PackageStore
    from modelstack.platforms.aws.approvals import BucketApprovals
    from modelstack.platforms.aws.versions import GroupVersions
    from modelstack.rollout.controller.controller import Controller
    from modelstack.rollout.controller.ports import Signals


class Aws(Platform):
    """`Platform` over AWS."""

    def state(self) -> RolloutState:
        target = self.target
        with explained(f"reading the journal of {target.endpoint}"):
            return copied_journal(target.client, target.output("journal_table"), target.endpoint).read()

    def endpoint(self) -> EndpointState:
        with explained(f"reading endpoint {self.target.endpoint}"):
            told = self.target.client("sagemaker").describe_endpoint(EndpointName=self.target.endpoint)
        images = {
            item["VariantName"]: next((one.get("ResolvedImage", "") for one in item.get("DeployedImages", [])), "")
            for kind in ("ProductionVariants", "ShadowProductionVariants")
            for item in told.get(kind, [])
        }
        return EndpointState(told["EndpointStatus"], live_of(told), images)

    def champion(self) -> Release | None:
        """From the journal, with the stack's cross-account role if the caller is in another account."""
        target = self.target
        with explained(f"reading what serves on {target.endpoint}"):
            account = target.client("sts").get_caller_identity()["Account"]
            role = role_for(target.outputs.get("promotion_role"), account)
            return champion(target.region, target.output("journal_table"), target.endpoint, role)

    def next_image(self, configured: str | None, taken: str | None) -> str | None:
        """See `Platform`. A local stack without an image is served by a process."""
        return configured or (f":{PROCESS}" if self.target.stack.startswith(LOCAL) else taken)

    def alarms(self) -> tuple[AlarmView, ...]:
        return alarms.telling(self.target)

    def alarms_in_full(self) -> list[AlarmInFull]:
        return alarms.in_full(self.target)

    def stopped(self) -> tuple[str, ...]:
        """See `Platform`; empty for a caller who may not look, and so sees the rest."""
        from modelstack.platforms.aws.functions import missing  # noqa: PLC0415 - few commands need it

        try:
            with explained("looking for the functions"):
                return missing(self.target.client, self.target.endpoint, self.target.output("alerts_topic"))
        except OperatorError as error:
            if code_of(error.__cause__ and error.__cause__.__cause__) in DENIED:
                return ()
            raise

    def versions(self) -> GroupVersions:
        """The stack's model package group."""
        from modelstack.platforms.aws.versions import GroupVersions  # noqa: PLC0415 - few commands need it

        return GroupVersions(self.registry_name(), self.target.client)

    def package_store(self) -> PackageStore:
        from modelstack.cli.platform.package_store import PackageStore  # noqa: PLC0415 - few commands need it
        from modelstack.platforms.aws.package_store import AwsPackageStore  # noqa: PLC0415

        store = AwsPackageStore.of(self.target.output("artifact_bucket"), self.target.client)
        return PackageStore(store, self.versions())

    def registry_name(self) -> str:
        """The stack's model package group."""
        return self.target.output("package_group")

    def served(self, variants: Sequence[str], start: datetime, end: datetime) -> list[ServedView]:
        return counted.served(self.target, variants, start, end)

    def spent(self, objective: Objective) -> Spent:
        return counted.spent(self.target, objective)

    def quality(self, variants: Sequence[str]) -> tuple[QualityView, ...]:
        """As last published; empty if the table cannot be read, so that callers without permission see the rest."""
        documents = DynamoDocuments(self.target.client, documents_table(self.target.endpoint))
        try:
            shown = {variant: quality(documents, variant) for variant in variants}
        except RolloutError:
            return ()
        found = [QualityView.of(variant, one) for variant, one in shown.items() if one is not None]
        return tuple(item for item in found if item.says_anything)

    def bring_labels(self, name: str, content: bytes) -> str:
        """Upload to the stack's bucket. Idempotent within a day."""
        bucket, day = self.target.output("artifact_bucket"), datetime.now(UTC).strftime("%Y/%m/%d")
        key = f"{LABELS}/{day}/{name}"
        with explained(f"sending labels to {bucket}"):
            self.target.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{key}"

    def records(self) -> list[str]:
        from modelstack.platforms.aws.audit_records import S3Records  # noqa: PLC0415 - few commands need it

        with explained(f"reading the audit record of {self.target.endpoint}"):
            return list(S3Records.of(self.target.client, self.target.output("artifact_bucket")).lines())

    def records_key(self) -> bytes:
        with explained(f"reading the key of the audit record of {self.target.endpoint}"):
            return self.target.client("kms").get_public_key(KeyId=self.target.output("audit_key"))["PublicKey"]

    def prediction(self, word: str, window: Window) -> Searched:
        from modelstack.platforms.aws.files import captures_of  # noqa: PLC0415 - few commands need it
        from modelstack.services.ledger import entry_of, may_hold  # noqa: PLC0415

        target, ledger = self.target, documents_table(self.target.endpoint)
        known = Searched(places=(f"the ledger of labels, table {ledger}",))
        captures = captures_of(target.client, target.output("artifact_bucket"), target.endpoint)
        try:
            with explained("looking into the ledger of labels"):
                documents = DynamoDocuments(target.client, ledger)
                entry = entry_of(documents, word)
                known = replace(known, exact=of_entry(entry, window) if entry else ())
                captures = replace(captures, may_hold=partial(may_hold, documents))
        except OperatorError as error:  # without permission to read it, captures are searched all the same
            known = Searched(unread=(str(error),))
        if known.exact:
            return known
        with explained("looking through the captures"):
            found = captures.search(word, window)
        percent = None if found.exact or found.begun else self._captured_percent()
        return replace(found, places=(*known.places, *found.places), unread=known.unread, percent=percent)

    def _captured_percent(self) -> float | None:
        """The percentage of requests that is captured now; None if unknown."""
        try:
            with explained(f"reading endpoint {self.target.endpoint}"):
                told = self.target.client("sagemaker").describe_endpoint(EndpointName=self.target.endpoint)
        except OperatorError:
            return None
        capture = told.get("DataCaptureConfig")
        return (capture.get("CurrentSamplingPercentage") if capture["EnableCapture"] else 0.0) if capture else None

    def graphs(self) -> CloudWatchGraphs:
        from modelstack.cli.platform.aws.graphs import CloudWatchGraphs  # noqa: PLC0415 - the console alone needs it

        return CloudWatchGraphs(self.target)

    def kept_aside(self, names: Iterable[str], seconds: float) -> Mapping[str, float]:
        return counted.kept_aside(self.target, names, seconds)

    def delay(self) -> float:
        return counted.delay(self.target)

    def signals(self) -> Signals:
        from modelstack.platforms.aws.counters import CloudWatchCounters  # noqa: PLC0415 - it loads the judge
        from modelstack.services.signals import CountedSignals  # noqa: PLC0415

        return CountedSignals(CloudWatchCounters(self.target.client, self.target.endpoint))

    def controller(self, who: str = "", signals: Signals | None = None) -> Controller:
        from modelstack.platforms.aws.endpoint import controller_with  # noqa: PLC0415 - it loads the judge

        target = self.target
        return controller_with(
            target.client,
            target.endpoint,
            target.output("journal_table"),
            by=who,
            topic=target.output("alerts_topic") if who else None,
            signals=signals,
            commands=target.commands,
        )

    def caller(self) -> str:
        return caller_if_told(clients(self.target.region, attempts=1, answer_within=3))

    def approvals(self) -> BucketApprovals:
        from modelstack.platforms.aws.approvals import BucketApprovals  # noqa: PLC0415 - few commands need it

        return BucketApprovals.of(self.target.client, self.target.output("artifact_bucket"))

    def retraining(self) -> tuple[RetrainingRecord, bool]:
        target = self.target
        with explained(f"reading the retraining of {target.endpoint}"):
            try:
                record = DynamoBook(target.client, target.output("journal_table"), target.endpoint).read()
            except ValueError as error:
                raise OperatorError(f"the retraining of {target.endpoint}: {error}", exit_code=UNKNOWN) from error
        return record, self._retrains()

    def _retrains(self) -> bool:
        client = self.target.client("lambda")
        try:
            client.get_function_configuration(FunctionName=f"{self.target.endpoint}-retrain")
        except ClientError as error:
            return error.response["Error"]["Code"] != "ResourceNotFoundException"  # who may not look sees the rest
        return True

    def retrain(self, action: str, reason: str) -> str:
        target = self.target
        client = target.client("lambda")
        try:
            with explained(f"asking the retrain function of {target.endpoint}"):
                event = json.dumps({"do": action, "reason": reason}).encode()
                answer = client.invoke(FunctionName=f"{target.endpoint}-retrain", Payload=event)
        except KeyboardInterrupt:
            hint = f"Type: {target.commands.modelstack} retrain"
            raise OperatorError(f"interrupted; the function may do it all the same ({action})", hint, 130) from None
        except OperatorError as error:
            if code_of(error.__cause__) != "ResourceNotFoundException":
                raise
            switch = "pulumi config set --path modelstack:retraining.enabled true"
            hint = f"Type: {switch} --stack {target.stack}; {target.commands.pulumi_up}"
            raise OperatorError(f"{target.endpoint} has no retrain function", hint, 2) from error
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise OperatorError(f"the retrain function failed: {said.get('errorMessage', said)}", exit_code=UNKNOWN)
        if said.get("refused"):
            raise OperatorError(f"nothing was done: {said['refused']}")
        return said["held"] or said["latest"]

    def invoke(self, at_once: int = 1) -> SageMakerInvoke:
        if at_once == 1:
            return SageMakerInvoke(self.target.client, self.target.endpoint)
        once = {"total_max_attempts": 1}
        config = Config(connect_timeout=3, read_timeout=65, retries=once, max_pool_connections=at_once)
        runtime = self.target.client("sagemaker-runtime", config)
        return SageMakerInvoke(lambda _: runtime, self.target.endpoint)

    def url(self) -> tuple[str, str, bool]:
        return self._signed(b"", JSON)[0], "", True

    def headers(self, body: bytes, content_type: str) -> Mapping[str, str]:
        return self._signed(body, content_type)[1]

    def _signed(self, body: bytes, content_type: str) -> tuple[str, Mapping[str, str]]:
        target, config = self.target, Config(connect_timeout=3)
        client = target.once("signing", lambda: target.client("sagemaker-runtime", config))
        with explained(f"signing a request to {target.endpoint}"):
            return signed(client, target.endpoint, body, content_type)
