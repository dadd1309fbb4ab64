"""All SQL of identity: a file has the name of the use case that owns it; `users` and `rows` serve several."""
