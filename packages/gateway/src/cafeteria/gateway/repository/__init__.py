"""All of the gateway's SQL. Functions take a connection and, where they are part of a batch, lists.

What changes many orders locks them in the order of their ids, or two replicas would wait for each other.
"""
