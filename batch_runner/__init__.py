"""Runs a list of prompts through a paid, asynchronous API to verified files on disk."""

__version__ = "0.1.0"
