"""All SQL of the kitchen, a file for each purpose: enqueue and move tickets, cook, reconcile delivery, read."""
