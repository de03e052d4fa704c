"""Store received bytes as verified files under their final names."""
