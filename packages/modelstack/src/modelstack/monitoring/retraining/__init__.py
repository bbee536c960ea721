"""Trains a new version when needed. Only `pulumi up` releases it, so it passes the same gates as a commit."""
