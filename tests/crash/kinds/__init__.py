"""The kinds of sweeps. Each disturbs real processes with a `Scene` and ends with `finish`."""
