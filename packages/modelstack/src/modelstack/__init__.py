"""modelstack: machine-learning models into production with Pulumi."""
