"""A Pulumi resource plugin named `aws` that serves a local cloud through its AWS API, on loopback only."""
