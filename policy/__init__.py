"""What is forbidden in every stack of this project: rules over plain values, and the policy pack that asks them."""
