"""The output folder of one job: paths, lock, marker, integrity, recovery."""
