"""The ports on AWS: SageMaker, CloudWatch, DynamoDB, S3 and SNS."""
