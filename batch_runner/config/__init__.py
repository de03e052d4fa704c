"""Where a setting comes from: flag > environment > manifest > user config > default."""
