"""`fastgd.minimize` beside SciPy's L-BFGS-B: evaluations, time, overhead; and a step of Adam beside NumPy's and torch's."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.datasets import load_breast_cancer
from threadpoolctl import threadpool_limits

from bench import timing
from bench.machine import cores

STEPS = 20  # updates a sample


class ReachedError(Exception):
    """The gradient is as small as was asked for."""


@dataclass(frozen=True)
class Minimization:
    """Time and evaluations until max |gradient| <= `size`, from the same start."""

    name: str
    cost: str
    n: int = 0
    size: float = 1e-5
    goals: dict = field(default_factory=dict)
    most_evaluations: float = 1.3  # of SciPy's

    def describe(self):
        return f"{self.cost} of {self.n or 'its'} parameters until the gradient is {self.size:g}"


@dataclass(frozen=True)
class Overhead:
    """Time of an iteration less that of its evaluations."""

    name: str
    n: int
    iterations: int = 500
    goals: dict = field(default_factory=dict)

    def describe(self):
        return f"an iteration in {self.n} dimensions, without the cost"


@dataclass(frozen=True)
class AdamStep:
    """An update of `n` parameters by Adam, with a gradient at hand, while the cost falls."""

    name: str
    dtype: str
    n: int = 1_000_000
    threads: tuple = ("one", "all")
    goals: dict = field(default_factory=dict)

    def describe(self):
        return f"Adam on {self.n} parameters of {self.dtype}, {', '.join(self.threads)}"


ALL = [
    Minimization("minimize-rosenbrock-2", "rosenbrock", 2),
    Minimization("minimize-rosenbrock-10", "rosenbrock", 10),
    Minimization("minimize-rosenbrock-100", "rosenbrock", 100),
    Minimization("minimize-rosenbrock-1000", "rosenbrock", 1000),
    Minimization("minimize-quadratic-10", "quadratic", 10, 1e-3),
    Minimization("minimize-quadratic-100", "quadratic", 100, 1e-3),
    Minimization("minimize-rotated-100", "rotated", 100, 1e-3),
    Minimization("minimize-logistic-std", "logistic", size=1e-6),
    Minimization("minimize-logistic-raw", "logistic-raw", size=1e-4),
    Overhead("minimize-overhead-100", 100, goals={"scipy": 2}),
    AdamStep("adam-million-float32", "float32", goals={"numpy": 3, "torch": 1}),
    AdamStep("adam-million-float64", "float64", goals={"numpy": 3, "torch": 1}),
]


def cost_of(name, n):
    """(cost with its gradient, start)"""
    if name == "rosenbrock":
        from scipy.optimize import rosen, rosen_der

        return lambda x: (rosen(x), rosen_der(x)), np.tile([-1.2, 1.0], n // 2)
    if name in ("quadratic", "rotated"):
        rng, h = np.random.default_rng(0), np.logspace(0, 6, n)
        if name == "quadratic":
            return lambda x: (x @ (h * x) / 2, h * x), np.ones(n)
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        H = (Q * h) @ Q.T
        return lambda x: (x @ H @ x / 2, H @ x), rng.standard_normal(n)
    X, y = load_breast_cancer(return_X_y=True)
    X = X if name == "logistic-raw" else (X - X.mean(axis=0)) / X.std(axis=0)
    X, t = np.column_stack([X, np.ones(len(X))]), 2.0 * y - 1

    def logistic(w):
        m = t * (X @ w)
        return np.logaddexp(0, -m).mean() + 5e-5 * (w @ w), -X.T @ (t / (1 + np.exp(np.minimum(m, 500)))) / len(t) + 1e-4 * w

    return logistic, np.zeros(X.shape[1])


def _runs(iterations):
    """{peer: function (cost, start) -> result} that stop for nothing but the number of iterations."""
    from scipy.optimize import minimize as scipy_minimize

    from fastgd import minimize

    options = {"maxiter": iterations, "maxfun": 10 * iterations, "ftol": 0, "gtol": 0}
    return {
        "fastgd": lambda cost, start: minimize(cost, start, jac=True, tol=0, max_iter=iterations),
        "scipy": lambda cost, start: scipy_minimize(cost, start, jac=True, method="L-BFGS-B", options=options),
    }


def measure(entry, peers, found_limits, options):
    if "fastgd" not in peers:
        return
    with threadpool_limits(1):
        yield from MEASURES[type(entry)](entry, options)


def _minimization(entry, options):
    cost, start = cost_of(entry.cost, entry.n)
    counts = {}

    def reach(name, run):
        calls = 0

        def until(x):
            nonlocal calls
            calls += 1
            value, gradient = cost(x)
            if np.abs(gradient).max() <= entry.size:
                raise ReachedError
            return value, gradient

        try:
            run(until, start)
        except ReachedError:
            counts[name] = calls

    samples = {name: lambda name=name, run=run: timing.seconds(reach, name, run) for name, run in _runs(100_000).items()}
    runs = timing.interleave(samples, options.repeats, options.seconds, 0)
    entries = {name: timing.summary(taken) | {"evaluations": counts.get(name)} for name, taken in runs.items()}
    timing.compare(entries, entry.goals)
    yield {"problem": entry.name, "unit": "run", "goals": entry.goals, "most_evaluations": entry.most_evaluations, "peers": entries}


def _overhead(entry, options):
    cost, start = cost_of("quadratic", entry.n)

    def sample(run):
        def timed():
            result = run(cost, start)
            return result.nfev, result.nit

        taken = timing.seconds(lambda: counts.append(timed()))
        nfev, nit = counts.pop()
        return (taken - nfev * min(timing.seconds(lambda: [cost(start) for _ in range(100)]) for _ in range(5)) / 100) / nit

    counts = []
    runs = timing.interleave({name: lambda run=run: sample(run) for name, run in _runs(entry.iterations).items()},
                             options.repeats, options.seconds, 0)  # fmt: skip
    entries = {name: timing.summary(taken) for name, taken in runs.items()}
    timing.compare(entries, entry.goals)
    yield {"problem": entry.name, "unit": "iteration", "goals": entry.goals, "peers": entries}


def _adam(entry, options):
    gradient = np.random.default_rng(0).standard_normal(entry.n).astype(entry.dtype)
    for threads in dict.fromkeys(cores() if named == "all" else 1 for named in entry.threads):
        makers = {"fastgd": _own_adam, "numpy": _numpy_adam, "torch": _torch_adam}
        steps = {}
        for name, make in makers.items():
            try:
                steps[name] = make(gradient, threads)
            except ImportError:
                continue
        for step in steps.values():
            step()
        samples = {name: lambda step=step: timing.seconds(lambda: [step() for _ in range(STEPS)]) / STEPS
                   for name, step in steps.items()}  # fmt: skip
        runs = timing.interleave(samples, options.repeats, options.seconds, timing.SETTLE if threads > 1 else 0)
        entries = {name: timing.summary(taken) for name, taken in runs.items()}
        timing.compare(entries, entry.goals)
        yield {"problem": entry.name, "unit": "update", "threads": threads, "goals": entry.goals, "peers": entries}


def _own_adam(gradient, threads):
    from fastgd import Adam
    from fastgd.kernels.rule_descent import RuleDescent

    run, cost = RuleDescent(np.zeros_like(gradient), Adam().codes, 0.0, 0.0, None, None, 0.0, threads), [0.0]

    def step():
        cost[0] -= 1  # a new best point in each: it has to be kept
        run.tell(cost[0], gradient, 0.01, 0.0, 0)

    return step


def _numpy_adam(gradient, threads):
    state = [np.zeros_like(gradient), np.zeros_like(gradient), np.zeros_like(gradient), 0]

    def step():
        x, m, v, t = state
        t += 1
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        state[:] = x - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v, t

    return step


def _torch_adam(gradient, threads):
    import torch

    torch.set_num_threads(threads)
    x = torch.zeros(len(gradient), dtype=torch.from_numpy(gradient).dtype, requires_grad=True)
    x.grad = torch.from_numpy(gradient)
    return torch.optim.Adam([x], lr=0.01, fused=True).step


MEASURES = {Minimization: _minimization, Overhead: _overhead, AdamStep: _adam}
