"""The floor: the whole order flow written by hand, for comparison with the product; see README.md."""
