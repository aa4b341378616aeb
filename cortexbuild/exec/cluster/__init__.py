"""Steps on the machines of a Dask cluster: it says who is there and carries messages, and no bytes.

offer.py       what a worker has, and what it lacks for a step
parcel.py      a job on its way to a worker, and what comes back
site.py        a worker's side: jobs in children, contents brought and sent
beacon.py      proof that two processes have one store
serve.py       the processes: a worker, a scheduler
security.py    certificates, and which addresses do without
crew.py        the workers as a client sees them, and which takes a step
placing.py     steps that wait for a worker, and those that are with one
reach.py       contents that are in the shared caches
here.py        what is done on the client's own machine
carrier.py     contents between a client's store and the shared caches
results.py     what steps came to
terms.py       how a cluster is used
executor.py    the client's side
connect.py     Dask, as a client uses it

`connect`, `serve` and `site` import Dask, which takes a second: only where a cluster is used.
"""
