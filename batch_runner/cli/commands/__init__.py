"""One module per command, each exporting `command`."""
