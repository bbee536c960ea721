"""S3 and S3-compatible buckets, for every platform that stores packages in one."""
