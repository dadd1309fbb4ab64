"""Hundreds of students order while parts of the system fail; afterwards everything is read and compared."""
