"""Crash simulation: whole jobs in one process and in virtual time, decided by a seed.

As in FoundationDB and TigerBeetle, sized for a batch runner: the real stages and the real journal
work against a service simulated in memory. The seed decides every latency, every fault and the step
at which the process is killed. An audit of journal, folder and the service's ledger finds every
broken promise, and the same seed reproduces it.
"""
