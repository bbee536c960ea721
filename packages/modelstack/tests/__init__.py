"""Does it hold? What `make test` and `make check` run."""
