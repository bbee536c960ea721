"""What happened, in an order that nobody can change unseen: records, the chain that links them, and their verification.

chain = Chain().noting(Entry(at, Kind.RELEASE, {"release": "3f0c..."})).sealed("flight-delay-prod", who)
chain.waiting  # the records that are to be signed and put away
verify(lines, "flight-delay-prod", check, chain).finding  # None, or the first record that is not as it was
"""
