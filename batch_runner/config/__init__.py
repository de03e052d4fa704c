"""The sources of settings: flag > environment > manifest > user config > default."""
