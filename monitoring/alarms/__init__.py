"""What does an alarm that rings do to a rollout?"""
