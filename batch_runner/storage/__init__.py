"""From received bytes to verified files under their final names."""
