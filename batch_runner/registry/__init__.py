"""This user's record of jobs on this host."""
