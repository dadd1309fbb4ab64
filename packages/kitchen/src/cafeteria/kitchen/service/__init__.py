"""The use cases, a file for each: one transaction, or one row set of a group commit, and nothing remote inside."""
