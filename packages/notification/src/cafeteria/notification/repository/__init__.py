"""All SQL of notification: a file has the name of the use case that owns it; `log` serves several."""
