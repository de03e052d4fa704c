"""The command line: the only package that knows click, terminals, signals and gc settings."""
