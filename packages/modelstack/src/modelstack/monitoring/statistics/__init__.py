"""Mergeable statistics of rows, and the tests on them."""
