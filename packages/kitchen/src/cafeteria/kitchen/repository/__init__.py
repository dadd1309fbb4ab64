"""All SQL of the kitchen: a file has the name of the use case that owns it; `tickets` and `rows` serve several."""
