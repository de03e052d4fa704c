"""One job on many hosts: `run --cluster` gives a job to workers, and each host runs some.

The journal of the job is a schema of a database in PostgreSQL (`journal.postgres`), where the items
are divided into shards. A worker takes the lease of a shard, processes its items with the stages of
`engine.run`, and takes the next. The lease must be renewed; the shards of a worker that does not,
because it was killed or stopped, are taken by others. Only the holder of the lease may submit.
"""
