"""Shows a run while it goes: snapshots of its journal, a terminal dashboard, progress lines."""
