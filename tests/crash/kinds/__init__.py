"""The kinds of sweeps: what is done to real processes. Each takes a `Scene` and ends with `finish`."""
