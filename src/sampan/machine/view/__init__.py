"""What happens to machines, told and counted: events, readiness, metrics."""
