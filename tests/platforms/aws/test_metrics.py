"""SageMaker's metrics."""

from platforms.aws.metrics import slower_than


def test_slow_requests_are_counted_in_sagemakers_microseconds() -> None:
    assert slower_than(250.5) == "TC(250500:)"
