"""Whole nights in one process and in virtual time, decided by a seed.

What FoundationDB and TigerBeetle do, sized for a batch runner: the real stages and the real journal
work against a service that is acted in memory. The seed decides every latency, every fault and the
step at which the process dies. What a night broke is found by an audit of journal, folder and the
service's ledger, and the same seed breaks it again.
"""
