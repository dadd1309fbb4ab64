"""How fast: each figure measured against something that runs beside it, in turn, on the same machine."""
