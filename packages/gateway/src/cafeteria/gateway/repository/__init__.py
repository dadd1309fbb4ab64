"""All of the gateway's SQL. Functions take a connection and, if they handle a batch, lists.

A statement that changes many orders locks them in id order; otherwise two replicas could deadlock.
"""
