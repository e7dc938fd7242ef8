"""Linear models on dask collections: the same models as on one machine, trained where the data are.

Each partition is kept by a worker as one block of rows. A pass over X is one direct call to each
worker, which works on its blocks in parallel, one thread a block; dask's tasks only make the
blocks, and make them again elsewhere if a worker is lost. The results of the blocks are added up in
the order of the partitions, so the bits depend neither on the number of workers nor on what happens
to them. The targets and some numbers for each row are held by the client.
"""

import asyncio
import time
import warnings
from inspect import Parameter, signature
from uuid import uuid4

import dask
import numpy as np
from dask import delayed
from distributed import default_client, wait
from distributed.comm.core import CommClosedError
from distributed.protocol import to_serialize
from distributed.protocol.pickle import dumps
from scipy import sparse
from sklearn.metrics import accuracy_score, r2_score

from fastgd import linear, sgd
from fastgd.estimators.base import about, unchanged_on_error
from fastgd.estimators.chunked_data import FEW_BYTES
from fastgd.problem.chunked_rows import ChunkedRows, Looked, Part, as_block, facts_of
from fastgd.problem.data import is_surely_finite

__all__ = [
    "ElasticNet",
    "Lasso",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "Ridge",
    "SGDClassifier",
    "SGDRegressor",
]

# Seconds between two looks at the members of the cluster while calls are on their way.
WATCH_SECONDS = 1.0
# How long a call tries to reach a worker, which may be gone. Dask's default is 30 seconds.
CONNECT_TIMEOUT = "3s"
# Seconds after which a cluster without workers, or a partition that nobody can make, is an error.
PATIENCE = 30.0
# Seconds for which a block may be lost until dask begins to make it again.
LOST_SECONDS = 5.0


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

    async def fastgd(fit, jobs, kept):
        # Within a process they come as they are sent.
        jobs, kept = (getattr(part, "data", part) for part in (jobs, kept))
        return await _work(dask_worker, fit, jobs, kept)

    dask_worker.handlers["fastgd"] = fastgd


async def _work(dask_worker, fit, jobs, kept):
    """{number: result} of the jobs (number, key of the block, name of what is kept, function,
    arguments) whose blocks and kept arguments are here; the others are missing.

    `kept` holds arguments that do not change from pass to pass, by name.
    """
    memory = vars(dask_worker).setdefault("_fastgd", {}).setdefault(fit, {})
    memory.update(kept)
    loop, pool, running = asyncio.get_running_loop(), dask_worker.executors["default"], {}
    for number, key, name, function, arguments in jobs:
        if key in dask_worker.data and name in memory:
            X = dask_worker.data[key]
            running[number] = loop.run_in_executor(pool, function, X, memory[name], *arguments)
    done = await asyncio.gather(*running.values(), return_exceptions=True)
    return to_serialize(dict(zip(running, done, strict=True)))


def _forget(fit, dask_worker):
    vars(dask_worker).get("_fastgd", {}).pop(fit, None)


def _changed(X, kept, dtype, changes, function, *arguments):
    """function(block as its rows are used, what is kept, *arguments)"""
    X = ChunkedRows.changed(X.astype(dtype, copy=False), changes)
    return function(X, kept, *arguments) if kept is not None else function(X, *arguments)


# ---- what runs on the client ----


class Placement:
    """The blocks of a fit on the workers of a cluster, and the calls to them."""

    def __init__(self, client, futures):
        self._client, self._futures, self._fit = client, futures, uuid4().hex
        # {address: names of what that worker keeps}, {chunk: address}
        self._known, self._where = {}, None

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
            if is_lost or future.status == "cancelled":
                raise RuntimeError(f"partition {i} is lost, and dask cannot make it again")

    def pools(self, number):
        """A stream takes one partition after the other."""
        return [[i] for i in range(len(self._futures))]

    def fetch(self, chunk):
        """A block."""
        self._places()
        return self._client.gather(self._futures[chunk])

    def map(self, jobs, kept):
        """The results of the jobs {number: (chunk, name, function, arguments)}, whose `kept`
        arguments have names.
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
            for address, answer in self._client.sync(self._ask, groups, kept).items():
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

    async def _ask(self, groups, kept):
        """{address: answer of `_work`, None if it did not come}, while the members are watched."""
        calls = {
            asyncio.create_task(self._call(address, jobs, kept)): address
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

    async def _call(self, address, jobs, kept):
        worker, is_new = self._client.rpc(address), address not in self._known
        known = self._known.setdefault(address, set())
        new = {name: kept[name] for _, _, name, *_ in jobs if name not in known}
        message = {"jobs": to_serialize(jobs), "kept": to_serialize(new)}
        try:
            if is_new:
                await worker.run(function=dumps(_install), args=dumps(()), kwargs=dumps({}))
            answer = await worker.fastgd(fit=self._fit, **message)
        except (OSError, CommClosedError, asyncio.CancelledError):
            return None
        known.update(new)
        answer = getattr(answer, "data", answer)  # as it is sent within a process
        if len(answer) < len(jobs):  # it has not got what it had
            known.clear()
        return answer


class PlacedRows(ChunkedRows):
    """Rows in the blocks of a `Placement`."""

    def __init__(self, placement, looked, _, dtype=None, changes=()):
        super().__init__(placement, looked, None, dtype, changes)
        # {ids of arrays: (the arrays, their parts)}
        self._parts = {}

    def block(self, i):
        """X of partition i, on the client."""
        return self.changed(self.chunks.fetch(i).astype(self.dtype, copy=False), self._changes)

    def parts(self, y, weights, visits):
        """{chunk: its `Part`}; the same ones as long as the arrays are the same."""
        ids = id(y), id(weights), id(visits)
        if ids not in self._parts:
            parts = super().parts(y, weights, visits)
            for part in parts.values():
                part.name = uuid4().hex
            self._parts[ids] = (y, weights, visits), parts
        return self._parts[ids][1]

    def map(self, function, jobs):
        """Yields function(X of a chunk, *arguments) for each job (chunk, *arguments), in turn."""
        kept, named, how = {None: None}, {}, (self.dtype, self._changes, function)
        for number, (chunk, *arguments) in enumerate(jobs):
            name = None
            if arguments and isinstance(arguments[0], Part):
                part, codes, _, *others = arguments
                # one thread a block
                name, arguments = part.name, [codes, 1, *others]
                kept[name] = part
            named[number] = (chunk, name, _changed, (*how, *arguments))
        yield from self.chunks.map(named, kept)


class Placed:
    """Dask collections that are given to a fit."""

    def __init__(self, client, X, y, sample_weight):
        self._client, self._given = client, (X, y, sample_weight)
        self.placement = None

    def placed_for(self, model, reset):
        """(rows, y, sample_weight), after the blocks have been made."""
        X, y, sample_weight = self._given
        parts = [_partitions(name, part) for name, part in
                 (("X", X), ("y", y), ("sample_weight", sample_weight))]  # fmt: skip
        counts = {len(part) for part in parts if part is not None}
        if len(counts) > 1:
            raise ValueError(
                "X, y and sample_weight need the same partitions, there are "
                f"{[None if part is None else len(part) for part in parts]}"
            )
        columns = zip(*(part or [None] * len(parts[0]) for part in parts), strict=True)
        blocks, facts = [], []
        for i, (block, *others) in enumerate(columns):
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
        model._see_columns(looked.columns, getattr(X, "columns", None), reset)
        self.placement = Placement(self._client, futures)
        rows = PlacedRows(self.placement, looked.end(), None)
        if rows.shape[0] <= rows.shape[1] and rows.bytes <= FEW_BYTES:
            rows = rows.columns(slice(None))
        return rows, *(
            None if part[0] is None else np.concatenate(part) for part in (targets, weights)
        )


def _partitions(name, given):
    """The partitions of a dask collection, delayed; None for None."""
    if given is None:
        return None
    if not hasattr(given, "to_delayed"):
        raise TypeError(f"{name} must be a dask array or data frame, got {type(given).__name__}")
    if getattr(given, "ndim", 1) == 2 and hasattr(given, "rechunk") and given.numblocks[1] > 1:
        given = given.rechunk({1: -1})
    return list(np.ravel(given.to_delayed()))


class _OnDask:
    """A linear model that trains on dask collections, and predicts lazily."""

    def _connected(self):
        """The client to use."""
        try:
            client = self.client or default_client()
        except ValueError as error:
            raise RuntimeError(
                f"fastgd.dask.{type(self).__name__} needs a cluster: make a distributed.Client, or "
                "set client"
            ) from error
        if client.status != "running":
            raise RuntimeError(f"the dask client is {client.status}")
        return client

    def fit(self, X, y=None, sample_weight=None, **others):
        """Train on dask arrays or data frames with the same partitions; see the local model.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features)
            Its blocks may be dense or CSR, of any sizes, also unknown ones.
        y : dask array, series or data frame of shape (n_samples,) or (n_samples, n_targets)
            Targets or labels.
        sample_weight : dask array or series of shape (n_samples,), default=None
            Weights of the rows, >= 0.
        **others
            Other arguments of the local model's `fit`, such as X_val and y_val in memory.

        Returns
        -------
        self
        """
        placed = Placed(self._connected(), X, y, sample_weight)
        with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_TIMEOUT}):
            try:
                return super().fit(placed, **others)
            finally:
                if placed.placement:
                    placed.placement.close()

    def predict(self, X):
        """Predictions, lazy for dask collections."""
        return self._lazily("predict", X)

    def score(self, X, y, sample_weight=None):
        """The accuracy of labels, R^2 of values; a number."""
        if not hasattr(X, "dask"):
            return super().score(X, y, sample_weight)
        given = dask.compute(y, self.predict(X), sample_weight)
        y, predicted, sample_weight = (None if a is None else np.asarray(a) for a in given)
        score = accuracy_score if hasattr(self, "classes_") else r2_score
        return float(score(y, predicted, sample_weight=sample_weight))

    def _lazily(self, name, X):
        """The result of a method of the local model, for each partition."""
        local = self.to_local()
        method = getattr(local, name)
        if not hasattr(X, "dask"):
            return method(X)
        if hasattr(X, "map_blocks"):
            rows = np.zeros((1, self.n_features_in_), np.float32 if X.dtype == "f" else float)
        else:
            rows = X._meta_nonempty
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of names, which each partition gives too
            example = method(rows)
        if hasattr(X, "map_blocks"):
            X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
            if example.ndim == 1:
                return X.map_blocks(method, dtype=example.dtype, drop_axis=1, meta=example[:0])
            chunks = X.chunks[0], (example.shape[1],)
            return X.map_blocks(method, dtype=example.dtype, chunks=chunks, meta=example[:0])
        import pandas

        kind = pandas.Series if example.ndim == 1 else pandas.DataFrame
        meta = kind(example[:0])
        return X.map_partitions(_framed, method, kind, meta=meta)

    def to_local(self):
        """The fitted model without dask, as `fastgd` has it."""
        kind = next(base for base in type(self).__mro__ if base.__module__ in LOCAL)
        parameters = self.get_params(deep=False)
        parameters.pop("client")
        local = kind(**parameters)
        vars(local).update({k: v for k, v in self.__getstate__().items() if k not in ("client",)})
        vars(local).pop("_sklearn_version", None)
        return local

    def __getstate__(self):
        """What is pickled: all but the client."""
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self):
        client, self.client = self.client, None
        try:
            return super().__sklearn_clone__()
        finally:
            self.client = client


class _Classifies(_OnDask):
    def decision_function(self, X):
        """Margins, lazy for dask collections."""
        return self._lazily("decision_function", X)


class _HasProbabilities(_Classifies):
    def predict_proba(self, X):
        """Probabilities of the classes, lazy for dask collections."""
        return self._lazily("predict_proba", X)

    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`."""
        return self._lazily("predict_log_proba", X)


def _framed(frame, method, kind):
    return kind(method(frame), index=frame.index)


LOCAL = ("fastgd.linear", "fastgd.sgd")


def _with_client(cls):
    """Give a class the parameters of its local model and `client`."""
    local = next(base for base in cls.__mro__ if base.__module__ in LOCAL)

    def __init__(self, *arguments, client=None, **parameters):  # noqa: N807
        local.__init__(self, *arguments, **parameters)
        self.client = client

    known = signature(local.__init__)
    client = Parameter("client", Parameter.KEYWORD_ONLY, default=None)
    __init__.__signature__ = known.replace(parameters=[*known.parameters.values(), client])
    cls.__init__ = __init__
    cls._parameter_constraints = local._parameter_constraints | {"client": "no_validation"}
    cls.__doc__ = (
        f"`fastgd.{local.__name__}` on dask collections, with the same parameters.\n\n"
        "    `client` is the distributed.Client to use; None: the current one.\n    "
    )
    return cls


@_with_client
class LinearRegression(_OnDask, linear.LinearRegression):
    pass


@_with_client
class Ridge(_OnDask, linear.Ridge):
    pass


@_with_client
class Lasso(_OnDask, linear.Lasso):
    pass


@_with_client
class ElasticNet(_OnDask, linear.ElasticNet):
    pass


@_with_client
class LogisticRegression(_HasProbabilities, linear.LogisticRegression):
    pass


@_with_client
class LinearSVC(_Classifies, linear.LinearSVC):
    pass


@_with_client
class LinearSVR(_OnDask, linear.LinearSVR):
    pass


class _SGDOnDask:
    def partial_fit(self, X, y=None, **others):
        """Train for one epoch on the partitions, one after the other, of dask collections."""
        if not hasattr(X, "dask"):
            return super().partial_fit(X, y, **others)
        sample_weight = others.pop("sample_weight", None)
        given = [_partitions(*pair) for pair in
                 (("X", X), ("y", y), ("sample_weight", sample_weight))]  # fmt: skip
        client = self._connected()
        with unchanged_on_error(self):
            for parts in zip(*(part or [None] * len(given[0]) for part in given), strict=True):
                X, y, sample_weight = client.gather(client.compute(list(parts)))
                is_empty = not len(y) or (sample_weight is not None and not np.any(sample_weight))
                if not is_empty:
                    super().partial_fit(X, np.asarray(y), sample_weight=sample_weight, **others)
        return self


@_with_client
class SGDClassifier(_SGDOnDask, _HasProbabilities, sgd.SGDClassifier):
    pass


@_with_client
class SGDRegressor(_SGDOnDask, _OnDask, sgd.SGDRegressor):
    pass
