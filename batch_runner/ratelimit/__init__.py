"""Rate limiting: how fast requests may be sent, and pauses after a 429."""
