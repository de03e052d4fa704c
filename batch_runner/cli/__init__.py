"""The command line; only this package uses click, sets signal handlers and tunes the collector."""
