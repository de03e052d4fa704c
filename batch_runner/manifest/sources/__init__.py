"""Read entries from prompts, data files and the matrix."""
