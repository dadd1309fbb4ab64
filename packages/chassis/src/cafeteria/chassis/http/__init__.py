"""How HTTP requests are read and answered, for every service alike."""
