"""This user's record of jobs and of their items: one SQLite file in the state folder.

Storage only. `jobdir.claims` keeps the record of one job up to date; `jobdir.reuse` decides what
a run does with what other jobs have submitted.
"""

from batch_runner.registry.base import Claim, ClaimStore, JobRecord
from batch_runner.registry.connection import FILE, may_exist
from batch_runner.registry.job_lock import JobLock
from batch_runner.registry.jobs import ClaimGroup
from batch_runner.registry.store import KEYS, Registry, open_registry, read_registry

__all__ = [
    "FILE",
    "KEYS",
    "Claim",
    "ClaimGroup",
    "ClaimStore",
    "JobLock",
    "JobRecord",
    "Registry",
    "may_exist",
    "open_registry",
    "read_registry",
]
