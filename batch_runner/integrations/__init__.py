"""Other programs: cron, systemd, Prometheus, notifications, log files."""
