"""The objectives of the linear models in extended precision, and a search for a lower value."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

SECONDS = 3  # after which no further search begins
LONG = np.longdouble
DEGREE = {
    "squared_error": 2,
    "huber": 2,
    "squared_epsilon_insensitive": 2,
    "epsilon_insensitive": 1,
    "quantile": 1,
}
KINKED = "hinge", "perceptron", "epsilon_insensitive", "quantile"


def loss_and_slope(name, z, y, delta, width=0.0):
    """Elementwise; kinks of piecewise linear losses rounded off over `width`."""
    if name == "squared_error":
        return (z - y) ** 2 / 2, z - y
    if name == "huber":
        r = np.clip(z - y, -delta, delta)
        return r * ((z - y) - r / 2), r
    if name == "poisson":
        e = np.exp(np.minimum(z, 11000))
        return e - y * z, e - y
    if name == "log_loss":
        return np.logaddexp(0, -y * z), -y * np.exp(-np.logaddexp(0, y * z))
    if name == "squared_hinge":
        m = np.maximum(1 - y * z, 0)
        return m**2, -2 * y * m
    if name == "modified_huber":
        m = np.maximum(1 - y * z, 0)
        return np.where(m > 2, 4 * m - 4, m**2), np.where(m > 2, -4 * y, -2 * y * m)
    if name == "squared_epsilon_insensitive":
        r = np.sign(z - y) * np.maximum(abs(z - y) - delta, 0)
        return r**2, 2 * r
    if name in ("hinge", "perceptron"):
        value, slope = _ramp((name == "hinge") - y * z, width)
        return value, -y * slope
    if name == "epsilon_insensitive":
        (up, rise), (down, fall) = _ramp(z - y - delta, width), _ramp(y - z - delta, width)
        return up + down, rise - fall
    (up, rise), (down, fall) = _ramp(z - y, width), _ramp(y - z, width)  # quantile
    return (1 - delta) * up + delta * down, (1 - delta) * rise - delta * fall


def _ramp(t, width):
    """max(t, 0), rounded off around 0 over `width`; and its slope."""
    if not width:
        return np.maximum(t, 0), (t > 0).astype(t.dtype)
    slope = np.clip(t / width + 0.5, 0, 1)
    return np.where(slope >= 1, t, width * slope**2 / 2), slope


@dataclass
class Problem:
    """F = sum_i s_i L(z_i, y_i) + sum l1 |w| + l2 w^2 / 2 + tilt b, of columns and y of size 1.

    `weights` sum to 1; l1 and l2 are (outputs, p).
    """

    loss: str
    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray
    delta: object
    l1: np.ndarray
    l2: np.ndarray
    intercept: bool
    tilt: float
    positive: bool
    columns: np.ndarray
    unit: object

    def scaled(self, coef, intercept):
        """A user's model in these units."""
        return np.atleast_2d(coef).astype(LONG) * self.columns / self.unit, np.ravel(
            intercept
        ).astype(LONG) / self.unit

    def margins(self, W, b):
        return self.X @ W.T + b

    def value(self, W, b, width=0.0):
        z = self.margins(W, b)
        if self.loss == "softmax":
            top = z.max(axis=1)
            each = top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - (z * self.Y).sum(axis=1)
        else:
            each = loss_and_slope(self.loss, z, self.Y, self.delta, width)[0].sum(axis=1)
        with np.errstate(all="ignore"):
            penalty = np.where(W != 0, self.l1 * abs(W) + self.l2 * W * W / 2, 0).sum()
        return self.weights @ each + penalty + self.tilt * b.sum()

    def slopes(self, W, b, width=0.0):
        z = self.margins(W, b)
        if self.loss == "softmax":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True) - self.Y
        return loss_and_slope(self.loss, z, self.Y, self.delta, width)[1]

    def rounding(self, W, b, eps):
        """What the objective may be off where weights and margins are rounded to `eps`."""
        error = 1000 * eps * (abs(self.X) @ abs(W).T + abs(b))
        slopes = abs(self.slopes(W, b))
        unit = 0 if self.loss in DEGREE else 1
        return float(
            (self.weights @ (slopes * error + error**2)).sum()
            + 64 * eps * max(abs(self.value(W, b)), unit)
        )


def problem_of(case, model):
    """The `Problem` of a case whose model has been fitted."""
    p = model.get_params()
    X = case.X.toarray() if sparse.issparse(case.X) else np.asarray(case.X)
    X = X.astype(LONG)
    name = case.estimator
    loss = (
        {"LogisticRegression": "softmax"}.get(name)
        or p.get("loss")
        or ("squared_error" if name != "SGDOneClassSVM" else "hinge")
    )
    weights = (
        np.ones(len(X), LONG)
        if "sample_weight" not in case.fit
        else np.asarray(case.fit["sample_weight"], LONG)
    )
    labels = np.asarray(case.y) if case.y is not None else None
    if hasattr(model, "classes_"):
        number = np.searchsorted(model.classes_, labels)
        if p.get("class_weight") == "balanced":
            totals = np.bincount(number, weights.astype(float), len(model.classes_))
            counts = np.array([weights[number == k].sum() for k in range(len(totals))])
            weights = (
                weights
                * np.where(
                    counts > 0,
                    weights.sum() / ((counts > 0).sum() * np.where(counts > 0, counts, 1)),
                    0,
                )[number]
            )
        if loss == "softmax":
            loss = "log_loss" if len(model.classes_) == 2 else loss
        one_hot = number[:, None] == np.arange(len(model.classes_))
        Y = one_hot.astype(LONG) if loss == "softmax" else np.where(one_hot, LONG(1), LONG(-1))
        Y = Y[:, 1:] if len(model.classes_) == 2 else Y
    else:
        Y = (
            np.ones((len(X), 1), LONG)
            if labels is None
            else labels.astype(LONG).reshape(len(X), -1)
        )
    total = weights.sum()
    l1, l2 = (np.asarray(part, LONG) for part in _penalty(name, p, total))
    delta = LONG(p.get("quantile", 0.5) if loss == "quantile" else p.get("epsilon", 0.0))
    columns = abs(X).max(axis=0)
    columns = np.where(columns > 0, columns, 1)
    degree = DEGREE.get(loss, 0) if not hasattr(model, "classes_") and labels is not None else 0
    unit = (abs(Y).max() or LONG(1)) if degree else LONG(1)
    shape = Y.shape[1], X.shape[1]
    tilt, positive = (
        (float(p["nu"]) if name == "SGDOneClassSVM" and p["fit_intercept"] else 0.0),
        bool(p.get("positive")),
    )
    if name == "SGDOneClassSVM" and not p["fit_intercept"]:
        loss = "perceptron"
    return Problem(
        loss,
        X / columns,
        Y / unit,
        weights / total,
        delta / unit if loss != "quantile" else delta,
        np.broadcast_to(l1 * unit ** (1 - degree) / columns, shape),
        np.broadcast_to(l2 * unit ** (2 - degree) / columns**2, shape),
        bool(p["fit_intercept"]),
        tilt,
        positive,
        columns,
        unit,
    )


def _penalty(name, p, total):
    """(l1, l2) of the mean loss."""
    if name == "LinearRegression":
        return 0.0, 0.0
    if name == "Ridge":
        return 0.0, LONG(p["alpha"]) / total
    if name == "SGDOneClassSVM":
        return 0.0, p["nu"]
    if "C" in p:
        strength = 0.0 if np.isinf(p["C"]) else 1 / (LONG(p["C"]) * total)
        ratio = {
            "LogisticRegression": p.get("l1_ratio"),
            "LinearSVC": float(p.get("penalty") == "l1"),
        }.get(name, 0.0)
    else:
        strength = LONG(p["alpha"])
        ratio = {"Lasso": 1.0, "ElasticNet": p.get("l1_ratio")}.get(name)
        if ratio is None:
            ratio = {"l2": 0.0, "l1": 1.0, "elasticnet": p["l1_ratio"], None: 0.0}[p["penalty"]]
            strength = strength if p["penalty"] else 0.0
    return strength * ratio, strength * (1 - LONG(ratio))


def constant_value(problem):
    """The objective of a good model without weights."""
    W, K = np.zeros_like(problem.l1), problem.Y.shape[1]
    if not problem.intercept:
        return problem.value(W, np.zeros(K, LONG))
    if problem.loss == "softmax":
        b = np.log(np.maximum(problem.weights @ problem.Y, LONG(1e-300)))
        return problem.value(W, b)
    total, nothing = LONG(0), np.zeros(K, LONG)
    for k in range(K):

        def value(t, k=k):
            b = nothing.copy()
            b[k] = t
            part = loss_and_slope(problem.loss, b[k], problem.Y[:, k], problem.delta)[0]
            return problem.weights @ part + problem.tilt * t

        total += _lowest(value, problem, k)
    return total


def _lowest(value, problem, k):
    """The least of the values at some candidates for the best constant."""
    y = problem.Y[:, k]
    mean = problem.weights @ y
    candidates = [
        LONG(0),
        LONG(1),
        LONG(-1),
        mean,
        *np.quantile(y, [0, 0.05, 0.25, 0.5, 0.75, 0.9, 1]),
        2 * ((y > 0) @ problem.weights) - 1,
    ]
    if problem.loss == "log_loss":
        f = (y > 0) @ problem.weights
        candidates.append(np.log(max(f, LONG(1e-300))) - np.log(max(1 - f, LONG(1e-300))))
    if problem.loss == "poisson":
        candidates.append(np.log(max(mean, LONG(1e-300))))
    return min(value(LONG(c)) for c in candidates)


def lower_value(problem, W, b, enough, noise):
    """The least objective that L-BFGS finds from (W, b) and from 0; below `enough` it ends.

    Columns whose spread is below `noise` times their centre count as constant.
    """
    K, p = problem.l1.shape
    center = (
        problem.weights @ problem.X if problem.intercept and not problem.tilt else np.zeros(p, LONG)
    )
    spread = np.sqrt(problem.weights @ (problem.X - center) ** 2)
    active = spread > noise * abs(center)
    spread = np.where(active, spread, 1)
    A = ((problem.X - center) / spread).astype(float)
    A[:, ~active] = 0
    s, Y = problem.weights.astype(float), problem.Y.astype(float)
    with np.errstate(all="ignore"):
        l1 = np.minimum(problem.l1 / spread, 1e30).astype(float)
        l2 = np.minimum(problem.l2 / spread**2, 1e30).astype(float)
    twin = Problem(
        problem.loss,
        A,
        Y,
        s,
        float(problem.delta),
        l1,
        l2,
        problem.intercept,
        problem.tilt,
        problem.positive,
        None,
        None,
    )
    split = bool(l1.any()) and not problem.positive

    def back(x):
        V, c = x[: K * p].reshape(K, p), x[-K:]
        V = V - x[K * p : 2 * K * p].reshape(K, p) if split else V
        V = np.where(active, V, 0) / spread
        return V, c - V @ center if problem.intercept else np.zeros(K)

    def cost(x, width):
        V, c = x[: K * p].reshape(K, p), x[-K:]
        V = V - x[K * p : 2 * K * p].reshape(K, p) if split else V
        slopes = twin.slopes(V, c, width) * s[:, None]
        G, g = slopes.T @ A + l2 * V, slopes.sum(axis=0) + problem.tilt
        value = twin.value(V, c, width)
        g = g if problem.intercept else np.zeros(K)
        parts = (
            [(G + l1).ravel(), (l1 - G).ravel()]
            if split
            else [(G + (l1 if problem.positive else 0)).ravel()]
        )
        return float(value), np.concatenate([*parts, g])

    best, end = problem.value(W, b), perf_counter() + SECONDS
    bound = [(0, None) if split or problem.positive else (None, None)] * (K * p * (1 + split)) + [
        (None, None)
    ] * K
    V0 = np.where(active, (W * spread), 0).astype(float)
    c0 = (b + W @ center).astype(float)
    starts = [
        (V0, c0),
        (
            np.zeros_like(V0),
            np.average(Y, axis=0, weights=s) if problem.loss in DEGREE else np.zeros(K),
        ),
    ]
    for V, c in starts:
        x = np.concatenate(
            [*([np.maximum(V, 0).ravel(), np.maximum(-V, 0).ravel()] if split else [V.ravel()]), c]
        )
        if not np.isfinite(x).all():
            continue
        for width in [1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-6] if problem.loss in KINKED else [0.0]:
            with np.errstate(all="ignore"):
                found = minimize(
                    cost,
                    x,
                    (width,),
                    jac=True,
                    method="L-BFGS-B",
                    bounds=bound,
                    options={
                        "maxiter": 200,
                        "maxfun": 250,
                        "ftol": 1e-15,
                        "gtol": 1e-14,
                        "maxcor": 30,
                    },
                )
            x = found.x
            value = problem.value(*back(x))
            if np.isfinite(value):
                best = min(best, value)
            if best < enough or perf_counter() > end:
                return best
    return best
