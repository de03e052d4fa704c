"""What runs beside or after a job: log files, metrics, notifications, cron and systemd entries."""
