"""How fast requests may leave."""
