"""How are rows counted, in sums that merge exactly, and what is beyond chance?"""
