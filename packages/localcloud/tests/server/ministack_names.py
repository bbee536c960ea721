"""Run by the local cloud's Python: prints as JSON what of ministack's private names is not as we use it."""

import asyncio
import inspect
import json
import os
import tempfile
from importlib.metadata import version

os.environ.update(AUTH="true", PERSIST_STATE="1", S3_PERSIST="1", STATE_DIR=tempfile.mkdtemp(), IOT_MTLS_ENABLED="0")

import botocore.session
from ministack import app
from ministack.core import (
    concurrency,
    iam_actions,
    iam_evaluator,
    lambda_runtime,
    persistence,
    responses,
    router,
    sigv4,
)
from ministack.services import (
    cloudwatch_logs,
    dynamodb,
    ecr,
    eventbridge,
    iam,
    kms,
    lambda_svc,
    s3,
    secretsmanager,
    sns,
    sqs,
    stepfunctions,
    sts,
    tagging,
)

from localcloud.server import gateway, repairs, surroundings, tables

SIGNATURES = {
    stepfunctions._execute_task: "state_def raw_input execution ctx",
    stepfunctions._run_map_items: "state_def raw_input execution ctx",
    stepfunctions._invoke_resource: "resource input_data",
    stepfunctions._invoke_with_callback: "resource input_data token state_def",
    stepfunctions._invoke_aws_sdk_integration: "resource input_data",
    stepfunctions._s3_object_text: "bucket key",
    stepfunctions._read_map_items: "reader effective ctx",
    stepfunctions._resolve_params_obj: "template data ctx",
    app.call_service_handler_sync: "handler method path headers body query_params timeout",
    app._load_persisted_state: "",
    app._dispatch_service_request: "method path headers body query_params request_id",
    app._handle_special_data_plane_request: (
        "method path headers body query_params request_id raw_path raw_query_string client_ip"
    ),
    app._handle_ecr_registry_request: "method path headers body query_params",
    app._handle_s3_vhost_request: "host path method headers body query_params",
    app._extract_s3_vhost_bucket: "host",
    app._s3_cors_target: "host path path_style",
    app._with_data_plane_headers: "response request_id include_s3_id wildcard_cors",
    app._decompress_request_body: "body headers",
    app._routing_params: "method path headers body query_params",
    app._is_ecr_registry_path: "path",
    router.detect_service: "method path headers query_params",
    router.extract_region: "headers query_params",
    router.extract_access_key_id: "headers query_params",
    iam_actions.extract_iam_action: "service method path headers body query_params",
    iam_actions.extract_resource_arn: "service method path headers body query_params region account_id",
    iam_actions.request_tag_context: "service iam_action body params",
    iam_actions.identity_denial_message: "action principal_arn resource explicit_deny",
    iam_actions.access_denied_response: (
        "service action principal_arn request_id error_code message headers resource_arn explicit_deny "
        "resource_policy_arn"
    ),
    iam_evaluator.enforce: "access_key_id iam_action service region resource_arn service_context",
    iam_evaluator.evaluate_resource_policy: "doc ctx service named_only direct_only",
    iam_evaluator.find_iam_access_key_account: "access_key_id",
    iam_evaluator.resolve_credential: "access_key_id account_id session_token",
    iam_evaluator._validate_session_token: "expected supplied",
    iam_evaluator._unknown_access_key: "",
    iam_evaluator._resource_policy: "service resource_arn",
    iam_evaluator.combine_resource_policy: "identity ctx policy owner_account required limits",
    iam_evaluator.evaluate_trust_policy: "trust_doc caller_arn ctx",
    iam_evaluator._resolve_condition_key: "key ctx",
    iam_evaluator._account_from_arn: "arn",
    iam_actions._s3_action: "method path query_params",
    s3._foreign_bucket_allows: "owner_account bucket_name key method query_params caller headers",
    s3._bucket_owner_account: "name",
    s3._bucket_owner_enforced: "bucket",
    s3._public_access_blocked: "owner_account bucket_name setting",
    s3._policy_is_public: "policy_text",
    ecr._parse_v2_path: "path",
    ecr._select_registry_request_scope: "name headers query_params",
    ecr._repo_arn: "name",
    iam_evaluator.is_root_access_key: "access_key_id",
    iam_evaluator._served_unsigned: "service iam_action",
    iam_evaluator.pin_signed_request: "method raw_path query_params raw_headers handshake",
    iam_evaluator.pin_signed_body: "body",
    iam_evaluator.parse_policy_document: "doc",
    app._request_account_scope: "access_key_id",
    responses.set_request_account_id: "access_key_id",
    responses.set_request_region: "region",
    ecr.handle_registry_request: "method path headers body query_params",
    ecr._get_authorization_token: "data",
    lambda_svc._presigned_code_url: "func_name",
    lambda_svc._layer_content_url: "layer_name version",
    iam_evaluator._gather_role_policies: "role_name account_id",
    iam_evaluator.evaluate: "ctx policies limits",
    iam_evaluator._first_match: "ctx stmts effect",
    iam_evaluator._fnmatch_compile: "pattern ignore_case",
    iam_evaluator._action_matches: "request_action actions not_actions",
    iam_evaluator._resource_matches: "resource_arn resources not_resources",
    iam_evaluator._conditions_met: "conditions ctx",
    iam_evaluator._names_caller: "principal caller_arn",
    iam_actions.s3_additional_checks: "method path headers body query_params",
    iam_actions._s3_batch_delete_targets: "bucket body",
    iam_actions._s3_source_object: "headers",
    iam_actions._dynamodb_table_arn: "table region account_id",
    iam_actions.dynamodb_resource_arns: "body region account_id",
    iam_actions.eventbridge_resource_arns: "body region account_id",
    dynamodb._normalize_table_name: "value",
    dynamodb._extract_key_val: "attr",
    dynamodb._index_key_lists: "index",
    dynamodb._extract_pk_from_condition: "condition attr_values attr_names pk_name",
    dynamodb._extract_pk_from_key_conditions: "key_conditions pk_name",
    s3._parse_bucket_key: "path headers",
    s3._merge_hoisted_amz_headers: "headers query_params",
    secretsmanager._resolve: "secret_id use_arn_scope",
    sqs._queue_ref_from_urlish: "url",
    tagging.resource_tags: "arn",
    iam_evaluator._resolve_condition_key: "key ctx",
    iam_actions.s3_service_context: "iam_action query_params path headers",
    app.pin_request_origin: "source_ip secure_transport",
    persistence._json_default: "obj",
    persistence._json_object_hook: "obj",
    persistence._state_format_version: "service",
    responses._service_model: "service",
    responses.request_scope: "account_id region",
    dynamodb._set_item: "table pk_val sk_val item",
    dynamodb._remove_item: "table pk_val sk_val",
    dynamodb._update_counts: "table",
    lambda_runtime.execution_credentials: "config",
    lambda_runtime.kill_workers: "workers",
    lambda_runtime.reset: "",
    lambda_svc.invoke_async_with_retry: "func event",
    lambda_svc._emit_lambda_metrics: "function_name duration_ms error throttle",
    lambda_svc._prune_orphan_code_blobs: "referenced",
    lambda_svc._event_invoke_config: "func qualifier",
    lambda_svc._get_func_record_for_ref: "function_ref",
    lambda_svc._execution_record_for_config: "func config",
    lambda_svc._execute_function_with_config_scope: "func event",
    lambda_svc._reserved_concurrency: "func config",
    lambda_svc._lambda_function_name_and_qualifier_from_arn: "value",
    lambda_svc._create_esm: "data",
    lambda_svc._update_esm: "esm_id data",
    lambda_svc._run_sqs_batch: "esm func_rec event batch queue_url queue_name",
    lambda_svc._resolve_existing_esm_function: "function_ref",
    lambda_svc._get_func_record_for_qualifier: "name qualifier",
    s3._atomic_write: "fpath data text",
    sns._deliver_to_lambda: "endpoint envelope topic_arn sub_arn msg_id raw_message message_attributes",
    sns._topic_by_arn_any_scope: "topic_arn",
    sns.topic_policy_allows: "topic_arn service source_arn source_account",
    sqs._queue_by_arn: "arn",
    sqs.queue_policy_allows: "queue_arn service source_arn source_account",
    kms._resolve_key: "key_id_or_arn",
    kms._check_key_state: "rec",
    dynamodb._apply_update_expression: "item expr attr_values attr_names updated_attrs",
    dynamodb._parse_path_from_tokens: "tokens attr_names",
    dynamodb._split_by_comma: "tokens",
    dynamodb._tokenize: "expr",
    s3._bucket_default_sse_headers: "bucket_name",
    s3._event_matches: "event_name patterns",
    s3._invalid_notification_config: "message",
    s3._validate_notification_configs: "configs bucket_region bucket_name skip_destination_validation",
    sts.register_session: "access_key session",
    eventbridge._put_events: "data allow_aws_source",
    eventbridge._invoke_target: "target event rule view",
    eventbridge._dispatch_to_lambda: "arn payload",
}

HOLDERS = [
    (app, "SERVICE_HANDLERS", dict),
    (app, "SERVICE_REGISTRY", dict),
    (app, "_state_map", dict),
    (app, "load_state", object),
    (app, "save_all", object),
    (router, "SERVICE_PATTERNS", dict),
    (router, "_KNOWN_AWS_SERVICE_NAMES", object),
    (iam_actions, "SERVICE_TO_IAM_NAMESPACE", dict),
    (iam_actions, "_TAG_OPERATIONS", dict),
    (iam_actions, "_AUTH_FAILURES", dict),
    (iam_evaluator, "_anonymous", object),
    (iam_evaluator, "_verified_key", object),
    (iam_evaluator, "_SESSION_TOKEN_NOT_CHECKED", object),
    (iam_evaluator, "ResolvedCredential", type),
    (app, "find_iam_access_key_account", object),
    (s3, "find_iam_access_key_account", object),
    (sts, "find_iam_access_key_account", object),
    (s3, "resolve_credential", object),
    (sts, "resolve_credential", object),
    (s3, "_buckets", object),
    (s3, "_bucket_policies", object),
    (kms, "_keys", object),
    (iam, "_users", object),
    (iam, "_groups", object),
    (iam, "_instance_profiles", object),
    (iam, "_user_inline_policies", object),
    (iam, "_group_inline_policies", object),
    (iam_actions, "_S3_QUERY_ACTIONS", dict),
    (iam_actions, "_S3_BUCKET_QUERY_ACTIONS", dict),
    (iam_actions, "_S3_OBJECT_QUERY_ACTIONS", dict),
    (iam_evaluator, "_CONDITION_OPS", dict),
    (ecr, "_repositories", object),
    (ecr, "_layer_blobs", object),
    (iam_evaluator, "AuthError", type),
    (sts, "is_root_access_key", object),
    (lambda_svc, "execution_credentials", object),
    (iam_evaluator, "EvalResult", type),
    (dynamodb, "_INDEX_MEMBERS", str),
    (dynamodb, "_tables", object),
    (dynamodb, "_backups", object),
    (lambda_runtime, "_workers", dict),
    (lambda_runtime, "_lock", object),
    (lambda_svc, "_functions", object),
    (lambda_svc, "_esms", object),
    (sns, "_threading", object),
    (sqs, "_HANDLERS", dict),
    (sqs, "_queues", object),
    (sts, "_sessions", dict),
    (iam, "_roles", object),
    (concurrency, "run_reentrant", object),
    (sigv4, "header_signature_failure", object),
]


def main() -> None:
    wrong = [f"ministack is {version('ministack')}, not 1.5.33"] if version("ministack") != "1.5.33" else []
    for function, expected in SIGNATURES.items():
        actual = " ".join(inspect.signature(function).parameters)
        if actual != expected:
            wrong.append(f"{function.__module__}.{function.__name__}({actual}), not ({expected})")
    wrong += [
        f"{module.__name__}.{name}" for module, name, kind in HOLDERS if not isinstance(getattr(module, name), kind)
    ]
    wrong += [f"{service} is not served" for service in surroundings.SERVICES if service not in app.SERVICE_REGISTRY]
    if set(cloudwatch_logs.get_state()) != {"log_groups", "log_records", *repairs.SMALL_LOG_STORES}:
        wrong.append(f"cloudwatch_logs keeps {sorted(cloudwatch_logs.get_state())}")
    if set(dynamodb.get_state()) != {"tables", *tables.BESIDE_TABLES}:
        wrong.append(f"dynamodb keeps {sorted(dynamodb.get_state())}")
    session = botocore.session.get_session()
    for service, (protocol, json_version) in gateway.PROTOCOLS.items():
        metadata = session.get_service_model(responses._BOTOCORE_NAME.get(service, service)).metadata
        actual = (metadata["protocol"], metadata.get("jsonVersion") if metadata["protocol"] == "json" else None)
        if actual != (protocol, json_version):
            wrong.append(f"{service} speaks {actual}, not {(protocol, json_version)}")
    for service, name in (("sagemaker", "sagemaker"), ("monitoring", "cloudwatch")):
        model = session.get_service_model(name)
        for operation in gateway.TAGGING[service]:
            members = model.operation_model(operation).input_shape.members
            if not {"Tags", "TagKeys"} & members.keys():
                wrong.append(f"{service}:{operation} takes no tags")
    if asyncio.iscoroutinefunction(sns._deliver_to_lambda):
        wrong.append("sns._deliver_to_lambda is a coroutine")
    print(json.dumps(wrong))


main()
