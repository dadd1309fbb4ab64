"""Crash points: kills a service just before and just after each message that it exchanges in an order's life cycle."""
