"""What a running process reports: logs, metrics, health."""
