"""The processes of a cluster, as Dask's, with what we add: a worker, and a scheduler."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any

import dask
from distributed import Scheduler, Worker

from ...core.needs import Capacity
from ...errors import RemoteError
from .offer import Offer
from .security import Place, security
from .site import TOPIC, Site

SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.http.routes": [],  # pages with logs, which ask nobody who he is
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.allowed-failures": 2,
    "distributed.scheduler.worker-ttl": "60s",  # of one that says nothing; steps are in children
    "distributed.comm.timeouts.connect": "10s",
}
PATIENCE = 60
"""Seconds for a scheduler to be there before a worker ends."""


def resources(room: Capacity) -> Mapping[str, float]:
    """What a worker has, in Dask's way; of what it has nothing of, everybody does without."""
    has = {"memory": room.memory, "jobs": room.jobs, "gpu": room.gpu, "net": room.net}
    return {name: float(count) for name, count in has.items() if count}


def worker_options(offer: Offer, site: Site) -> dict[str, Any]:
    room = offer.room
    return {
        "name": offer.name, "nthreads": room.jobs + room.net, "resources": resources(room),
        "memory_limit": 0,  # our steps are in children, which Dask does not see
        "plugins": (site,), "startup_information": {"cortexbuild": lambda _: offer.plain()},
    }  # fmt: skip


def serve_worker(place: Place, offer: Offer, site: Site, ready: Callable[[str], None]) -> None:
    """Until it is told to end, which is no error, or until the scheduler is gone, which is one."""
    how = security(place)

    async def serve() -> bool:
        worker = Worker(
            place.address, security=how, dashboard_address="127.0.0.1:0",
            host="127.0.0.1" if place.is_loopback else None, death_timeout=PATIENCE,
            **worker_options(offer, site),
        )  # fmt: skip
        try:
            await worker
        except (TimeoutError, OSError) as error:
            raise RemoteError(
                f"no scheduler answers at {place.address}: {error}",
                hint="see whether `cortexbuild scheduler` runs there, with no firewall between",
            ) from error
        ready(worker.address)
        return await _until_over(worker)

    if not asyncio.run(_configured(serve)):
        raise RemoteError(
            f"the scheduler at {place.address} is gone",
            hint="start it again with `cortexbuild scheduler`, and then this worker",
        )


def serve_scheduler(place: Place, ready: Callable[[str], None]) -> None:
    how = security(place)

    async def serve() -> bool:
        scheduler = Scheduler(
            host=place.address, security=how, dashboard_address="127.0.0.1:0", dashboard=False
        )
        await scheduler
        ready(str(scheduler.address))
        return await _until_over(scheduler)

    asyncio.run(_configured(serve))


async def _configured(serve: Callable[[], Any]) -> bool:
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(SETTINGS):
        return bool(await serve())


async def _until_over(server: Worker | Scheduler) -> bool:
    """Whether it was told to end, and did not by itself."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    ended, waiting = asyncio.ensure_future(server.finished()), asyncio.ensure_future(told.wait())
    await asyncio.wait((ended, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if isinstance(server, Worker) and told.is_set():  # it does not die of what it runs
        server.log_event(TOPIC, {"what": "leaving", "value": server.address})
    await server.close()
    return told.is_set()
