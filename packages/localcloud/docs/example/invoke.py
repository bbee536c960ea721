"""Ask an endpoint for a greeting: `python invoke.py ENDPOINT`."""

import sys

import boto3

client = boto3.client("sagemaker-runtime")
answer = client.invoke_endpoint(EndpointName=sys.argv[1], ContentType="application/json", Body='{"name": "Ada"}')
print(answer["Body"].read().decode())
