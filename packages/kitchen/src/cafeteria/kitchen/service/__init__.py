"""The use cases, one to a file: each is one transaction, or one row set of a group commit, without remote calls."""
