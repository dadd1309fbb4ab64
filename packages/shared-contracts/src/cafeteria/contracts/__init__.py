"""What the services say to one another and to students: data only, no behaviour, no I/O."""
