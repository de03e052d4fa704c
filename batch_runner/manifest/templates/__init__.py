"""Templates in params, prompts, input files and file names."""
