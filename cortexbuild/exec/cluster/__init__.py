"""Steps on the machines of a Dask cluster: it says who is there and carries messages, and no bytes.

offer.py       what a worker has, and what it lacks for a step
parcel.py      a job on its way to a worker, and what comes back
site.py        a worker's side: jobs in children, contents brought and sent
beacon.py      proof that two processes have one store
serve.py       the processes: a worker, a scheduler
security.py    certificates, and which addresses do without
crew.py        the workers as a client sees them, and which takes a step
reach.py       contents that are in the shared caches
executor.py    the client's side
connect.py     to a cluster that is there, or one on this machine

Modules that import Dask, which takes a second, are imported when a cluster is used: `site`,
`serve`, `connect` and `executor`.
"""
