"""The programs that SageMaker runs as jobs."""
