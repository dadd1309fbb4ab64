"""Reading and answering HTTP requests, the same for every service."""
