"""The output folder of a job: paths, lock, identity, recovery."""
