"""What tests of the adapters share with those of the rooms whose ports they are."""

from tests.pipeline.conftest import champion, clients, daily, moto_url, own_cache, place, run
from tests.rollout.conftest import fresh, plan, release, served

__all__ = [
    "champion", "clients", "daily", "fresh", "moto_url", "own_cache", "place", "plan", "release", "run",
    "served",
]  # fmt: skip
