"""The messages between the services and the HTTP bodies: data only, no behaviour, no I/O."""
