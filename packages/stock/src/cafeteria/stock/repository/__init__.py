"""All SQL of stock: a file has the name of the use case that owns it; `items` and `operations` serve several.

Every statement locks rows in one order: inventory by item, new reservations by order, old reservations by
order. So two replicas wait for each other, but never in a circle.
"""
