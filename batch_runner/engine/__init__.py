"""One run of a job: producer, pollers, fetchers."""
