"""One run: submit items, poll their tasks, download their files. Start to read at `run`."""
