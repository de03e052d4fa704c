"""Shows a working run: snapshots of its journal, a terminal dashboard, progress lines."""
