"""Real clusters: PostgreSQL, a simulator, workers and `run --cluster`, each a process."""
