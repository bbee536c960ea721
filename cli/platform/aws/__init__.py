"""AWS's answers: SageMaker, CloudWatch, DynamoDB and S3, through boto3."""
