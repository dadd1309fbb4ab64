"""A load test under faults: hundreds of students order while parts fail; then stored and observed data are compared."""
