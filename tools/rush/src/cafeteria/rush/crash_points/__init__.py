"""Every crash point of an order's life: a service is killed just before and just after each message that it exchanges."""
