"""Templates of a request."""
