"""The effect of firing alarms on a rollout."""
