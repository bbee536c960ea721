"""Buckets of S3, and whatever speaks like it: shared by the platforms that keep packages in one."""
