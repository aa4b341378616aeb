"""Dask, as a client uses it: who is there, a task for one worker, and what became of it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster
from distributed.protocol.pickle import dumps

from ...core.needs import Capacity, Needs
from ...errors import RemoteError
from .beacon import beacon
from .offer import offer_here
from .parcel import Parcel, Report
from .security import Place, security
from .serve import SETTINGS, resources, worker_options
from .site import TOPIC, Site, do

PATIENCE = 10.0
"""Seconds for a scheduler to answer, and for a result that is there to come."""

Put = Callable[[str, Any], None]


class Link:
    """A client's way to a scheduler. What happens is `put` in an inbox: `said` by workers, workers
    that `joined` or `left`, tasks that `ended`."""

    def __init__(self, client: Client, stack: ExitStack, put: Put) -> None:
        self._client, self._stack, self._put = client, stack, put
        self._futures: dict[str, Future[Report]] = {}
        self._spent: list[Future[Report]] = []
        self.address = str(client.scheduler.address) if client.scheduler else ""
        client.subscribe_topic(TOPIC, lambda event: put("said", event[1]))
        client.subscribe_topic("all", self._hear)

    def workers(self) -> Mapping[str, Any]:
        """What is known of each worker, by its address."""
        try:
            return dict(self._client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, CancelledError) as error:
            raise self.gone() from error

    def weight(self, parcel: Parcel) -> int:
        """The bytes that a parcel is on its way."""
        return len(dumps(parcel))

    def submit(self, parcel: Parcel, worker: str, needs: Needs, room: Capacity) -> None:
        future = self._client.submit(
            do, parcel, key=parcel.ticket, pure=False, workers=[worker],
            resources=_taken(needs, room),
        )  # fmt: skip
        self._futures[parcel.ticket] = future
        # To let go of one is a message, too, and what comes right after a message waits 10 ms.
        self._spent.clear()
        future.add_done_callback(lambda _: self._put("ended", parcel.ticket))

    def outcome(self, ticket: str) -> Report | str | None:
        """What came of a task that ended: a report, what went wrong with it, or None if that went
        with its worker. Raises RemoteError when the scheduler is gone."""
        future = self._futures.pop(ticket)
        self._spent.append(future)
        if not self.is_up():
            raise self.gone()
        if future.status not in ("finished", "error"):
            return None
        try:
            if future.status == "finished":
                found: Report = future.result(timeout=PATIENCE)
                return found
            error = future.exception(timeout=PATIENCE)
        except (TimeoutError, CancelledError, OSError):
            return None
        return None if isinstance(error, KilledWorker) else f"{type(error).__name__}: {error}"

    def is_up(self) -> bool:
        return bool(self._client.status == "running")

    def gone(self) -> RemoteError:
        return RemoteError(
            f"the scheduler at {self.address} is gone; finished steps are kept",
            hint="start it again, and run the same command again",
        )

    def forget(self, ticket: str) -> None:
        """It is not waited for any more; what runs of it is ended."""
        if future := self._futures.pop(ticket, None):
            self._client.cancel([future], force=True)

    def close(self) -> None:
        """What runs is ended, on all workers."""
        with suppress(OSError, CancelledError):
            if self._futures and self.is_up():
                self._client.cancel(list(self._futures.values()), force=True)
        self._stack.close()

    def versions(self) -> Mapping[str, str]:
        """Of the scheduler."""
        told = self._client.sync(self._client.scheduler.versions)
        python = ".".join(str(told["host"]["python"]).split(".")[:3])
        return {"python": python, "dask": str(told["packages"]["distributed"])}

    def first_workers(self, patience: float) -> Mapping[str, Any]:
        """The workers, once there is one. Raises RemoteError when none comes."""
        until = time.monotonic() + patience
        while not (told := self.workers()):
            if time.monotonic() > until:
                raise RemoteError(
                    f"there is no worker at {self.address}",
                    hint=f"`cortexbuild worker --scheduler {self.address}` starts one",
                )
            time.sleep(0.1)
        return told

    def _hear(self, event: tuple[float, Any]) -> None:
        message = event[1]
        if message.get("action") == "add-worker":
            self._put("joined", message["worker"])
        elif message.get("action") == "remove-worker":
            self._put("left", message["worker"])


def connect(place: Place, put: Put) -> Link:
    """To a scheduler that is there. Raises RemoteError when it does not answer."""
    return _link(place.address, security(place), ExitStack(), put)


def connect_here(store: Path, site: Site, room: Capacity, put: Put) -> Link:
    """To a cluster of this machine alone, which lives as long as the link; it speaks TLS with a
    certificate that nobody else ever sees."""
    from distributed import Security

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        _quiet()
        offer = offer_here("this machine", room, store, stack.enter_context(beacon(store)))
        own = Security.temporary()
        cluster = stack.enter_context(LocalCluster(
            n_workers=1, processes=False, host="127.0.0.1", protocol="tls://", security=own,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            silence_logs=False, **worker_options(offer, site),
        ))  # fmt: skip
        return _link(cluster.scheduler_address, own, stack.pop_all(), put)


def _link(address: str, how: Any, stack: ExitStack, put: Put) -> Link:
    _quiet()
    with stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions that differ: told in our words
        stack.enter_context(dask.config.set(SETTINGS))
        try:
            client = Client(
                address, security=how, timeout=PATIENCE, set_as_default=False, name="cortexbuild"
            )
        except OSError as error:
            raise RemoteError(
                f"no scheduler answers at {address}: {error}",
                hint="`cortexbuild scheduler` starts one; with `tls://`, both sides need "
                "certificates of one authority",
            ) from error
        stack.callback(client.close, timeout=2)
        return Link(client, stack.pop_all(), put)


def _quiet() -> None:
    """What is wrong comes to us as an error; Dask's own words of it would be among ours."""
    for name in ("distributed", "distributed.client"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False


def _taken(needs: Needs, room: Capacity) -> Mapping[str, float]:
    """What a step takes of its worker, for others who send there, too."""
    whole = resources(room)
    taken = {"memory": needs.memory, "jobs": needs.cores, "gpu": needs.gpu, "net": needs.net}
    return {name: min(taken[name], whole[name]) for name in whole if taken[name]}
