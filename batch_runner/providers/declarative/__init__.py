"""Services described as data: one YAML file instead of code."""
