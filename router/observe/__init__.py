"""What the router tells of itself: metrics, health, log lines, the audit file."""
