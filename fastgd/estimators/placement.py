"""Dask collections as rows to train on: where their blocks are, and the calls to them.

Each partition is kept by a worker as one block of rows. A pass over X is one direct call to each
worker, which works on its blocks in parallel, one thread a block; dask's tasks only make the
blocks, and make them again elsewhere if a worker is lost.
"""

import asyncio
import time
from uuid import uuid4

import numpy as np
from dask import delayed
from distributed import wait
from distributed.comm.core import CommClosedError
from distributed.protocol import to_serialize
from distributed.protocol.pickle import dumps
from scipy import sparse

from fastgd.estimators.base import about
from fastgd.estimators.chunked_data import in_memory_if_few
from fastgd.problem.chunked_rows import ChunkedRows, Looked, as_block, facts_of
from fastgd.problem.data import is_surely_finite
from fastgd.problem.row_vectors import Chunk, RowVectors, Site, named

# Seconds between two looks at the members of the cluster while calls are on their way.
WATCH_SECONDS = 1.0
# Seconds after which a cluster without workers, or a partition that nobody can make, is an error.
PATIENCE = 30.0
# Seconds for which a block may be lost until dask begins to make it again.
LOST_SECONDS = 5.0
# Arrays of targets and weights that workers have, at most: those of the objective, and others that
# are needed for a while.
MOST_PARTS = 3


# ---- what runs on the workers ----


def _block(X, i):
    """A partition of X as the kernels read it."""
    with about(f"partition {i}"):
        return as_block(X)


def _facts(X, y, sample_weight, i):
    """(`facts_of` a block, y, sample_weight)"""
    with about(f"partition {i}"):
        values = X.data if sparse.issparse(X) else X
        if not (is_surely_finite(values) or np.isfinite(values).all()):
            raise ValueError("Input X contains NaN or infinity")
        parts = [None if part is None else np.asarray(part) for part in (y, sample_weight)]
        for name, part in zip(("y", "sample_weight"), parts, strict=True):
            if part is not None and len(part) != X.shape[0]:
                raise ValueError(f"X has {X.shape[0]} rows, {name} has {len(part)}")
    return facts_of(X), *parts


def _install(dask_worker):
    """Have a worker answer the calls below."""

    async def fastgd(fit, message):
        # Within a process it comes as it is sent.
        return await _work(dask_worker, fit, *getattr(message, "data", message))

    dask_worker.handlers["fastgd"] = fastgd


async def _work(dask_worker, fit, jobs, kept, needed):
    """{number: result} of the jobs (number, key of the block, names of what is kept, function,
    arguments) whose blocks and kept things are here; the others are missing.

    `kept` are things by name that stay for later jobs, `needed` the names of the row vectors and of
    the kept things that still are in use; None: all.
    """
    site = vars(dask_worker).setdefault("_fastgd", {}).setdefault(fit, Site())
    if needed is not None:
        site.forget(*needed)
    site.kept.update(kept)
    loop, pool, running = asyncio.get_running_loop(), dask_worker.executors["default"], {}
    for number, key, names, function, arguments in jobs:
        if key in dask_worker.data and all(name in site.kept for name in names):
            X = dask_worker.data[key]
            running[number] = loop.run_in_executor(pool, function, X, site, *arguments)
    done = await asyncio.gather(*running.values(), return_exceptions=True)
    return to_serialize(dict(zip(running, done, strict=True)))


def _forget(fit, dask_worker):
    vars(dask_worker).get("_fastgd", {}).pop(fit, None)


def _changed(X, dtype, changes):
    """A block as its rows are used."""
    return ChunkedRows.changed(X.astype(dtype, copy=False), changes)


def _of_block(X, _, how, function, *arguments):
    """function(X, number of threads, *arguments)"""
    return function(_changed(X, *how), 1, *arguments)


def _of_call(X, site, how, number, part, arrays, *others):
    """The result of `Site.run`, for the chunk of this number and the `Part` of this name."""
    chunk = Chunk(number, site.kept[part], 1, lambda: _changed(X, *how))
    call, pending, used = others
    return site.run(chunk, call, pending, arrays, used)


# ---- what runs on the client ----


class Placement:
    """The blocks of a fit on the workers of a cluster, and the calls to them."""

    def __init__(self, client, futures):
        self._client, self._futures, self._fit = client, futures, uuid4().hex
        # {address: names of what that worker keeps}, {chunk: address}
        self._known, self._where = {}, None
        # The row vectors of the fit; {ids of arrays: (the arrays, their parts)}.
        self.vectors, self._parts = RowVectors(), {}

    def close(self):
        """Let the workers forget the fit."""
        if self._client.status == "running":
            self._client.run(_forget, self._fit, on_error="ignore")

    def _places(self):
        """{chunk: the address of a worker that has its block}; waits for blocks that are made
        again.
        """
        begin = time.monotonic()
        deadline = begin + PATIENCE
        while True:
            if self._client.status != "running":
                raise RuntimeError("the dask client has been closed during a fit")
            self._check_futures(time.monotonic() - begin)
            try:
                with self._client.as_current():
                    wait(self._futures, timeout=WATCH_SECONDS)
            except TimeoutError:
                if self._client.scheduler_info(n_workers=-1)["workers"]:
                    deadline = time.monotonic() + PATIENCE
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"the cluster has had no workers for {PATIENCE:g} seconds"
                    ) from None
                continue
            owners = self._client.who_has(self._futures)
            places = {i: owners.get(f.key) for i, f in enumerate(self._futures)}
            if all(places.values()):
                return {i: addresses[0] for i, addresses in places.items()}

    def _check_futures(self, seconds):
        """Raise the error of a block that cannot be made again, after so many seconds."""
        for i, future in enumerate(self._futures):
            if future.status == "error":
                error = future.exception()
                error.add_note(f"while partition {i} was made again")
                raise error
            is_lost = future.status == "lost" and seconds > LOST_SECONDS
            if is_lost and self._is_coming(future.key):
                continue
            if is_lost or future.status == "cancelled":
                raise RuntimeError(f"partition {i} is lost, and dask cannot make it again")

    def _is_coming(self, key):
        """Whether the scheduler is going to make a block."""
        status = self._client.scheduler.get_task_status
        return self._client.sync(status, keys=[key])[key] not in (None, "released", "forgotten")

    def named_parts(self, arrays, parts):
        """parts(*arrays), {chunk: its `Part`}, with names; the same ones for the same arrays."""
        ids = tuple(map(id, arrays))
        _, found = self._parts.pop(ids, (None, None))
        if found is None:
            found = parts(*arrays)
            for part in found.values():
                part.name = named()
        self._parts[ids] = arrays, found  # at the end, as the last one used
        if len(self._parts) > MOST_PARTS:
            del self._parts[next(iter(self._parts))]
        return found

    @property
    def part_names(self):
        """The names of all parts."""
        return {part.name for _, found in self._parts.values() for part in found.values()}

    def pools(self, number):
        """A stream takes one partition after the other."""
        return [[i] for i in range(len(self._futures))]

    def fetch(self, chunk):
        """A block."""
        self._places()
        return self._client.gather(self._futures[chunk])

    def map(self, jobs, kept=None, needed=None):
        """The results of the jobs {number: (chunk, names, function, arguments)}, which use what is
        `kept` under these names; see `_work`.
        """
        results, since = {}, time.monotonic()
        while len(results) < len(jobs):
            if self._where is None:
                self._where = self._places()
            groups, before = {}, len(results)
            for number, (chunk, *job) in jobs.items():
                if number not in results:
                    own = (number, self._futures[chunk].key, *job)
                    groups.setdefault(self._where[chunk], []).append(own)
            asked = self._client.sync(self._ask, groups, kept or {}, needed)
            for address, answer in asked.items():
                if answer is None:  # the worker is lost
                    self._known.pop(address, None)
                    continue
                for number, result in answer.items():
                    if isinstance(result, BaseException):
                        raise result
                    results[number] = result
            if len(results) < len(jobs):
                self._where = None
            if len(results) > before:
                since = time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                raise RuntimeError(f"no worker has answered for {PATIENCE:g} seconds")
        return [results[number] for number in jobs]

    async def _ask(self, groups, kept, needed):
        """{address: answer of `_work`, None if it did not come}, while the members are watched."""
        calls = {
            asyncio.create_task(self._call(address, jobs, kept, needed)): address
            for address, jobs in groups.items()
        }
        answers, running = {}, set(calls)
        while running:
            done, running = await asyncio.wait(running, timeout=WATCH_SECONDS)
            answers |= {calls[call]: call.result() for call in done}
            if running:
                members = (await self._client.scheduler.identity(n_workers=-1))["workers"]
                for call in [call for call in running if calls[call] not in members]:
                    call.cancel()
                    running.discard(call)
                    answers[calls[call]] = None
        return answers

    async def _call(self, address, jobs, kept, needed):
        worker, is_new = self._client.rpc(address), address not in self._known
        known = self._known.setdefault(address, set())
        if needed is not None:
            known &= needed[1]
        names = {name for _, _, names, *_ in jobs for name in names}
        new = {name: kept[name] for name in names - known}
        try:
            if is_new:
                await worker.run(function=dumps(_install), args=dumps(()), kwargs=dumps({}))
            message = to_serialize((jobs, new, needed))
            answer = await worker.fastgd(fit=self._fit, message=message)
        except (OSError, CommClosedError, asyncio.CancelledError):
            return None
        known.update(new)
        answer = getattr(answer, "data", answer)  # as it is sent within a process
        if len(answer) < len(jobs):  # it has not got what it had
            known.clear()
        return answer


class PlacedRows(ChunkedRows):
    """Rows in the blocks of a `Placement`."""

    def __init__(self, placement, looked):
        super().__init__(placement, looked)
        self.vectors = placement.vectors

    def block(self, i):
        """X of partition i, on the client."""
        return self.changed(self.chunks.fetch(i).astype(self.dtype, copy=False), self._changes)

    def take(self, rows):
        """Rows are not drawn from partitions."""
        raise ValueError("early_stopping draws rows for validation, partitions need X_val")

    def parts(self, y, weights, visits):
        """{chunk: its `Part`}; the same ones as long as the arrays are the same."""
        return self.chunks.named_parts((y, weights, visits), super().parts)

    def map(self, function, jobs, _):
        """Yields function(X of a chunk, 1, *arguments) for each job (chunk, *arguments) in turn."""
        how = self.dtype, self._changes
        named = {
            number: (chunk, (), _of_block, (how, function, *arguments))
            for number, (chunk, *arguments) in enumerate(jobs)
        }
        yield from self.chunks.map(named)

    def ask(self, call, parts, arrays, _):
        """Yields the result of a call for each chunk of {chunk: its `Part`}; `arrays` are those
        given for each chunk.
        """
        pending, how = self.vectors.pending(), (self.dtype, self._changes)
        calls = self.vectors.calls()
        used = [name for of in [call, *pending] for name in of.known if name != call.name]
        others = call.sent(), [vector.name for vector in pending], self.vectors.names()
        kept = {name: known.sent() for name, known in calls.items()}
        kept |= {part.name: part for part in parts.values()}
        jobs = {
            i: (i, (part.name, *used), _of_call, (how, i, part.name, arrays[i], *others))
            for i, part in parts.items()
        }
        needed = self.vectors.needed(), set(calls) | self.chunks.part_names
        yield from self.chunks.map(jobs, kept, needed)
        self.vectors.end_of_round(call)


class Placed:
    """Dask collections that are given to a fit."""

    def __init__(self, client, X, y, sample_weight):
        self._client, self._given = client, (X, y, sample_weight)
        self.placement = None

    def placed_for(self, model, reset):
        """(rows, y, sample_weight), after the blocks have been made."""
        blocks, facts = [], []
        for i, (block, *others) in enumerate(partitions_of(*self._given)):
            blocks.append(delayed(_block)(block, i))
            facts.append(delayed(_facts)(blocks[-1], *others, i))
        made = self._client.compute([*blocks, *facts])
        futures = made[: len(blocks)]
        facts = self._client.gather(made[len(blocks) :], direct=True)
        looked, targets, weights = Looked(), [], []
        for i, (found, of_block, weight) in enumerate(facts):
            with about(f"partition {i}"):
                looked.add_facts(*found)
            if found[0][0]:
                targets.append(of_block)
                weights.append(weight)
        if looked.dtype is None:
            raise ValueError(f"All {len(blocks)} partitions are empty: there are 0 samples.")
        model._see_columns(looked.columns, getattr(self._given[0], "columns", None), reset)
        self.placement = Placement(self._client, futures)
        rows = in_memory_if_few(PlacedRows(self.placement, looked.end()))
        return rows, *(
            None if part[0] is None else np.concatenate(part) for part in (targets, weights)
        )


def partitions_of(X, y, sample_weight):
    """Yields (X, y, sample_weight) of each partition, delayed; what is not given is None."""
    given = {"X": X, "y": y, "sample_weight": sample_weight}
    parts = [_partitions(name, part) for name, part in given.items()]
    if len({len(part) for part in parts if part is not None}) > 1:
        raise ValueError(
            "X, y and sample_weight need the same partitions, there are "
            f"{[None if part is None else len(part) for part in parts]}"
        )
    return zip(*(part or [None] * len(parts[0]) for part in parts), strict=True)


def _partitions(name, given):
    """The partitions of a dask collection, delayed; None for None."""
    if given is None:
        return None
    if not hasattr(given, "to_delayed"):
        raise TypeError(f"{name} must be a dask array or data frame, got {type(given).__name__}")
    if getattr(given, "ndim", 1) == 2 and hasattr(given, "rechunk") and given.numblocks[1] > 1:
        given = given.rechunk({1: -1})
    return list(np.ravel(given.to_delayed()))
