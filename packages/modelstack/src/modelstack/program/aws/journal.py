"""The tables of the rollout journal and of documents."""

from __future__ import annotations

import os

import pulumi
import pulumi_aws as aws

from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.pipeline.project import cloud_commands
from modelstack.platforms.aws.names import INDEX, Names, journal
from modelstack.program.live_state import state_and_live
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.state import RolloutState, StateError


def recorded(endpoint: str, region: str) -> tuple[RolloutState, Live | None, RetrainingRecord]:
    """The journal of rollouts, what serves, and the journal of retrainings; pulumi.RunError if one cannot be read.

    A journal that does not exist is empty; what serves is None without an endpoint.
    """
    from modelstack.platforms.aws.clients import clients  # noqa: PLC0415
    from modelstack.platforms.aws.journal import copied_journal  # noqa: PLC0415
    from modelstack.platforms.aws.traffic import find_live  # noqa: PLC0415
    from modelstack.platforms.aws.training import DynamoBook  # noqa: PLC0415  the adapters load boto3, which only this call needs

    try:
        table = journal(endpoint), endpoint
        made = clients(region)
        state, live = state_and_live(copied_journal(made, *table).read, lambda: find_live(made, endpoint))
        return state, live, DynamoBook(made, *table).read()
    except (RolloutError, StateError, ValueError) as error:
        cloud = os.environ.get("AWS_ENDPOINT_URL")
        if cloud and isinstance(error, Unreachable):
            start = cloud_commands()[0]
            said = (
                f"the local cloud at {cloud} does not answer, so nothing was changed. Start it with: {start} ({error})"
            )
        else:
            said = f"what is live on {endpoint} is not known, so nothing was changed: {error}"
        raise pulumi.RunError(said) from None


def journal_table(names: Names, opts: pulumi.ResourceOptions) -> aws.dynamodb.Table:
    """Declare the rollout controller's table, one item per endpoint."""
    return aws.dynamodb.Table(
        "journal",
        name=names.journal,
        billing_mode="PAY_PER_REQUEST",
        hash_key="endpoint",
        attributes=[aws.dynamodb.TableAttributeArgs(name="endpoint", type="S")],
        point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
        server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
        opts=opts,
    )


def documents_table(names: Names, opts: pulumi.ResourceOptions) -> aws.dynamodb.Table:
    """Declare the table of `modelstack.platforms.aws.documents`: pending labels and answers, and drift counts."""
    return aws.dynamodb.Table(
        "documents",
        name=names.documents,
        billing_mode="PAY_PER_REQUEST",
        hash_key="id",
        attributes=[
            aws.dynamodb.TableAttributeArgs(name="id", type="S"),
            aws.dynamodb.TableAttributeArgs(name=INDEX, type="S"),
            aws.dynamodb.TableAttributeArgs(name="since", type="N"),
        ],
        global_secondary_indexes=[
            aws.dynamodb.TableGlobalSecondaryIndexArgs(
                name=INDEX,
                key_schemas=[
                    aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=INDEX, key_type="HASH"),
                    aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name="since", key_type="RANGE"),
                ],
                projection_type="ALL",
            )
        ],
        ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires", enabled=True),
        point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
        server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
        opts=opts,
    )
