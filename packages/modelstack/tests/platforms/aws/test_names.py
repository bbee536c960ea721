"""Names derive from digests: the same content is the same name, everywhere."""

from __future__ import annotations

import string

from modelstack.platforms.aws.names import Names, journal
from modelstack.rollout.core.release import variant
from modelstack.services.release_names import digest

NAMES = Names("flight-delay", "local", "000000000000", "us-east-1")


def test_digest_is_the_same_on_every_machine_and_in_any_order_of_keys() -> None:
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert digest({"a": [1, {"c": 2, "d": 3}], "b": None}) == digest({"b": None, "a": [1, {"d": 3, "c": 2}]})


def test_names_of_the_stack_begin_with_its_prefix() -> None:
    for name in (NAMES.endpoint, NAMES.bucket, NAMES.journal, NAMES.alerts, NAMES.dashboard, NAMES.function("drift")):
        assert name.startswith("flight-delay-local")
    assert journal(NAMES.endpoint) == NAMES.journal


def test_longest_allowed_names_fit_into_what_aws_allows() -> None:
    names = Names("a" * 30, "b" * 9, "000000000000", "us-east-1")
    assert len(names.prefix) == 40
    assert len(names.bucket) <= 63
    assert len(names.endpoint) <= 63
    assert len(names.model_of("r", "i")) <= 63
    assert len(names.function("controller")) <= 64
    assert len(names.dead_letters) <= 80


def test_every_part_of_the_content_makes_another_name() -> None:
    config = NAMES.config_of("model", "v-1", {"instance_type": "ml.m5.large", "instance_count": 1})
    assert config != NAMES.config_of("other", "v-1", {"instance_type": "ml.m5.large", "instance_count": 1})
    assert config != NAMES.config_of("model", "v-2", {"instance_type": "ml.m5.large", "instance_count": 1})
    assert config != NAMES.config_of("model", "v-1", {"instance_type": "ml.m5.large", "instance_count": 2})
    assert NAMES.pair_of("a", "b") != NAMES.pair_of("b", "a")
    assert NAMES.model_of("recipe", "image") != NAMES.model_of("recipe", "other")


def test_names_hold_only_what_sagemaker_allows() -> None:
    allowed = set(string.ascii_letters + string.digits + "-")
    assert set(NAMES.model_of("recipe", "image") + variant("a" * 64) + NAMES.pair_of("a", "b")) <= allowed


def test_arns_leave_out_what_their_service_leaves_out() -> None:
    assert NAMES.serving_role_arn == "arn:aws:iam::000000000000:role/flight-delay-local-serving"
    assert NAMES.arn("s3", NAMES.bucket, account="", region="") == f"arn:aws:s3:::{NAMES.bucket}"
    assert NAMES.arn("sqs", "queue") == "arn:aws:sqs:us-east-1:000000000000:queue"
