"""Monitoring of released models: alarms, captured requests, drift and labels."""
