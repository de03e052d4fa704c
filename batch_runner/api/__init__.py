"""The library: plan and run jobs from Python. The command line is a client of it.

`jobs` has the functions that `batch_runner` exports, `steps` what they and the commands consist of.
"""
