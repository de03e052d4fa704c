"""Read YAML into values with locations."""
