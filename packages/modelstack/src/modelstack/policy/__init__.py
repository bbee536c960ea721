"""The policies of every stack: rules over plain values, and the policy pack that enforces them."""
