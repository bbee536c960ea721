"""The rollout of a challenger: a pure core, a sequential judge, and a controller behind ports."""
