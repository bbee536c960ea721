"""A tamper-evident audit log: records, the hash chain that links them, and their verification."""
