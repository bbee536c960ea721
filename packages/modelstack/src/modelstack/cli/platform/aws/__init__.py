"""The commands' adapter for AWS."""
