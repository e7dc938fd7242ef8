"""The slow twin: every loss, update rule, schedule and training run of fastgd in plain NumPy,
written to be read.

Nothing here is clever. A loss is a function of one margin and one target; a rule is a class with
one method; a training run is two nested loops. The compiled library must give the same numbers.
Everything is float64, ``X`` is a dense array, and the parameters are a matrix ``W`` of shape
(outputs, features) and a vector ``b`` of shape (outputs,), so that the margins of a row are ``W @ x
+ b``.

    F(W, b) = sum_i s_i L(W x_i + b, y_i) / sum_i s_i + l1 |W|_1 + l2/2 |W|^2
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import is_classifier
from sklearn.utils.class_weight import compute_sample_weight

LARGEST_SLOPE = 1e12

# ---- losses: (margin z, target y, delta) -> (value, slope dL/dz) ----


def squared_error(z, y, delta=0.0):
    return (z - y) ** 2 / 2, z - y


def huber(z, y, delta):
    residual = z - y
    if abs(residual) <= delta:
        return residual**2 / 2, residual
    return delta * (abs(residual) - delta / 2), math.copysign(delta, residual)


def epsilon_insensitive(z, y, delta):
    residual = z - y
    if abs(residual) <= delta:
        return 0.0, 0.0
    return abs(residual) - delta, math.copysign(1.0, residual)


def squared_epsilon_insensitive(z, y, delta):
    residual = z - y
    excess = max(0.0, abs(residual) - delta)
    return excess**2, math.copysign(2 * excess, residual)


def quantile(z, y, delta):
    under = y - z
    if under > 0:
        return delta * under, -delta
    if under < 0:
        return (delta - 1) * under, 1 - delta
    return 0.0, 0.0


def poisson(z, y, delta=0.0):
    return math.exp(z) - y * z, math.exp(z) - y


def gamma(z, y, delta=0.0):
    return z + y * math.exp(-z), 1 - y * math.exp(-z)


def tweedie_identity(mean, y, power):
    """Half of the Tweedie deviance, up to a constant, of a mean and a target; the slope in the
    mean.
    """
    if power == 1:
        value = mean - y * math.log(mean)
    elif power == 2:
        value = math.log(mean) + y / mean
    else:
        value = mean ** (2 - power) / (2 - power) - y * mean ** (1 - power) / (1 - power)
    return value, (mean - y) * mean**-power


def tweedie(z, y, power):
    """The same of the mean exp(z); the slope in z."""
    value, slope = tweedie_identity(math.exp(z), y, power)
    return value, slope * math.exp(z)


def log_loss(z, y, delta=0.0):
    m = y * z
    value = math.log1p(math.exp(-m)) if m > 0 else math.log1p(math.exp(m)) - m
    probability_of_error = math.exp(-m) / (1 + math.exp(-m)) if m > 0 else 1 / (1 + math.exp(m))
    return value, -y * probability_of_error


def modified_huber(z, y, delta=0.0):
    m = y * z
    if m >= 1:
        return 0.0, 0.0
    if m >= -1:
        return (1 - m) ** 2, -2 * y * (1 - m)
    return -4 * m, -4 * y


def hinge(z, y, delta=0.0):
    return (1 - y * z, -y) if y * z <= 1 else (0.0, 0.0)


def squared_hinge(z, y, delta=0.0):
    gap = 1 - y * z
    return (gap**2, -2 * y * gap) if gap > 0 else (0.0, 0.0)


def perceptron(z, y, delta=0.0):
    return (-y * z, -y) if y * z <= 0 else (0.0, 0.0)


def softmax(z, y, delta=0.0):
    """The only loss that sees all margins of a row: ``z`` has one entry a class, ``y`` is the right
    one's number.
    """
    shift = max(z)
    exps = [math.exp(margin - shift) for margin in z]
    slope = [e / sum(exps) for e in exps]
    slope[int(y)] -= 1
    return shift + math.log(sum(exps)) - z[int(y)], slope


REGRESSION = {
    f.__name__: f
    for f in (
        squared_error,
        huber,
        epsilon_insensitive,
        squared_epsilon_insensitive,
        quantile,
        poisson,
    )
}
CLASSIFICATION = {
    f.__name__: f
    for f in (
        log_loss,
        modified_huber,
        hinge,
        squared_hinge,
        perceptron,
    )
}
LOSSES = {**REGRESSION, **CLASSIFICATION}


def clip(slope):
    return max(-LARGEST_SLOPE, min(LARGEST_SLOPE, slope))


# ---- the objective ----


@dataclass
class Problem:
    """What is minimised.

    ``targets``: "values" (y holds one number an output), "one-vs-rest" or "softmax" (y is a class
    number).
    """

    loss: str
    delta: float = 0.1
    l1: float = 0.0
    l2: float = 0.0
    targets: str = "values"
    intercept: bool = True
    positive: bool = False
    tilt: float = 0.0


def row_loss(problem, z, y):
    """The loss of one row, summed over its outputs, and the slope along each margin."""
    if problem.targets == "softmax":
        value, slope = softmax(z, y)
        return value, np.array([clip(s) for s in slope])
    value, slope = 0.0, np.zeros(len(z))
    for k in range(len(z)):
        target = target_of(problem, y, k, len(z))
        value_k, slope_k = LOSSES[problem.loss](z[k], target, problem.delta)
        value += value_k
        slope[k] = clip(slope_k)
    return value, slope


def target_of(problem, y, k, outputs):
    """The target of output ``k``: its own value, or +1 for its class and -1 for all others.

    With two classes the one output is that of class 1.
    """
    if problem.targets == "values":
        return np.atleast_1d(y)[k]
    return 1.0 if y == (k if outputs > 1 else 1) else -1.0


def allowed(problem, W):
    """The nearest weights that the problem allows."""
    return np.maximum(W, 0) if problem.positive else W


def penalty(problem, W):
    return problem.l1 * np.abs(W).sum() + problem.l2 / 2 * (W**2).sum()


def objective(problem, X, y, W, b, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    values = [row_loss(problem, W @ x + b, target)[0] for x, target in zip(X, y, strict=True)]
    return np.average(values, weights=weights) + penalty(problem, W)


def gradient(problem, X, y, W, b, weights):
    """Summed loss and mean gradient of the data term over a batch: ``sum_i s_i grad L_i /
    rows``.
    """
    value, G, g = 0.0, np.zeros_like(W), np.zeros_like(b)
    for x, target, weight in zip(X, y, weights, strict=True):
        value_i, slope = row_loss(problem, W @ x + b, target)
        value += weight * value_i
        G += weight * np.outer(slope, x) / len(X)
        g += weight * slope / len(X)
    return value, G, g if problem.intercept else 0 * g


# ---- update rules: parameters and gradient are flat vectors; l1 and l2 are too, with 0 for the
# intercepts ----


def soft(a, k):
    """The minimiser of ``(w - a)^2 / 2 + k |w|``."""
    return np.sign(a) * np.maximum(np.abs(a) - k, 0)


class SGD:
    uses_l2_in_gradient = False

    def step(self, w, g, rate, l1, l2, t):
        return soft(w * np.maximum(0, 1 - rate * l2) - rate * g, rate * l1)


class Momentum:
    def __init__(self, momentum=0.9):
        self.momentum, self.v = momentum, 0.0

    def step(self, w, g, rate, l1, l2, t):
        v = self.momentum * self.v - rate * (g + l2 * w)
        kept = soft(w + v, rate * l1)
        self.v = np.where((kept == 0) & (w + v != 0), 0, v - (w + v - kept))
        return kept


class Nesterov:
    def __init__(self, momentum=0.9):
        self.momentum, self.v = momentum, 0.0

    def step(self, w, g, rate, l1, l2, t):
        g = g + l2 * w
        full = w - rate * g
        kept = soft(full, rate * l1)
        self.v = np.where(
            (kept == 0) & (full != 0), 0, self.momentum * self.v - rate * g - (full - kept)
        )
        return kept + self.momentum * self.v


class AdaGrad:
    def __init__(self, eps=1e-10):
        self.eps, self.a = eps, 0.0

    def step(self, w, g, rate, l1, l2, t):
        g = g + l2 * w
        self.a = self.a + g**2
        own_rate = rate / (np.sqrt(self.a) + self.eps)
        return soft(w - own_rate * g, own_rate * l1)


class RMSProp:
    def __init__(self, rho=0.9, eps=1e-8):
        self.rho, self.eps, self.a = rho, eps, 0.0

    def step(self, w, g, rate, l1, l2, t):
        g = g + l2 * w
        self.a = self.rho * self.a + (1 - self.rho) * g**2
        own_rate = rate / (np.sqrt(self.a) + self.eps)
        return soft(w - own_rate * g, own_rate * l1)


class Adam:
    def __init__(self, beta1=0.9, beta2=0.999, eps=1e-8):
        self.beta1, self.beta2, self.eps, self.m, self.a = beta1, beta2, eps, 0.0, 0.0

    def step(self, w, g, rate, l1, l2, t):
        direction, own_rate = self.moments(g + l2 * w, rate, t)
        return soft(w - own_rate * direction, own_rate * l1)

    def moments(self, g, rate, t):
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.a = self.beta2 * self.a + (1 - self.beta2) * g**2
        return self.m / (1 - self.beta1**t), rate / (
            np.sqrt(self.a / (1 - self.beta2**t)) + self.eps
        )


class AdamW(Adam):
    def step(self, w, g, rate, l1, l2, t):
        direction, own_rate = self.moments(g, rate, t)
        return soft(w - own_rate * direction - rate * l2 * w, own_rate * l1)


class GradientNoise:
    def __init__(self, rule, variance, fading, seed):
        self.rule, self.variance, self.fading, self.seed = rule, variance, fading, seed

    def step(self, w, g, rate, l1, l2, t):
        draw = splitmix64(splitmix64_once(splitmix64_once(self.seed) + t))
        pairs = [normal_pair(draw) for _ in range(0, len(g), 2)]
        noise = np.array(pairs).ravel()[: len(g)]
        return self.rule.step(
            w, g + math.sqrt(self.variance / t**self.fading) * noise, rate, l1, l2, t
        )


def splitmix64(state):
    """Its numbers, one after the other."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        yield splitmix64_mixed(state)


def splitmix64_once(state):
    return next(splitmix64(state))


def splitmix64_mixed(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def normal_pair(draw):
    """Box and Muller's."""
    length = math.sqrt(-2 * math.log(((next(draw) >> 11) + 1) / 2**53))
    angle = 2 * math.pi * (next(draw) >> 11) / 2**53
    return length * math.cos(angle), length * math.sin(angle)


RULES = {
    rule.__name__.lower(): rule
    for rule in (
        SGD,
        Momentum,
        Nesterov,
        AdaGrad,
        RMSProp,
        Adam,
        AdamW,
    )
}


# ---- learning rates that depend on the update's number t = 1, 2, ... only ----


def constant(eta0):
    return lambda t: eta0


def invscaling(eta0, power_t):
    return lambda t: eta0 / t**power_t


def optimal(alpha):
    """Bottou's: ``1 / (alpha (t0 + t - 1))``, the first rate being the typical weight
    ``alpha^(-1/4)``.
    """
    first = 1 / math.sqrt(math.sqrt(alpha))
    return lambda t: 1 / (alpha * (1 / (first * alpha) + t - 1))


def step(eta0, factor, every, per_epoch):
    """``eta0 factor^k``: the rate is multiplied by ``factor`` after every ``every`` epochs of
    ``per_epoch`` updates.
    """
    return lambda t: eta0 * factor ** ((t - 1) // per_epoch // every)


def cosine(eta0, epochs, per_epoch):
    """From ``eta0`` down to 0 along half a wave that takes ``epochs`` epochs."""
    return lambda t: eta0 / 2 * (1 + math.cos(math.pi * min(1, (t - 1) / per_epoch / epochs)))


# ---- a whole training run ----


@dataclass
class Run:
    """Where training got to. ``t`` is the number of updates so far, plus one.

    An epoch's ``loss`` is the mean of what its visits met: ``data_loss`` plus the penalty. Sweeps
    that put rows straight into the weights may take the penalty as the mean of its two values at
    the ends of the epoch: ``loss_by_ends``.
    """

    W: np.ndarray
    b: np.ndarray
    t: int = 1
    mean_W: np.ndarray = None
    mean_b: np.ndarray = None
    history: dict = field(
        default_factory=lambda: {
            "loss": [],
            "data_loss": [],
            "loss_by_ends": [],
            "gradient_norm": [],
            "learning_rate": [],
        }
    )


def batches(order, batch_size):
    """The visiting order cut into batches; the last one may be short."""
    size = len(order) if batch_size == "full" else batch_size
    return [order[start : start + size] for start in range(0, len(order), size)]


def train(
    problem,
    X,
    y,
    rate,
    orders,
    *,
    batch_size=1,
    rule=None,
    weights=None,
    start=None,
    outputs=1,
    average_start=0,
):
    """Descend once for every visiting order in ``orders``; ``rate`` maps the number of an update to
    its learning rate.

    ``weights`` act as given: a fit divides them by their mean first. ``average_start``: the first
    update whose result enters the mean.
    """
    rule = SGD() if rule is None else rule
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    W, b = start if start is not None else (np.zeros((outputs, X.shape[1])), np.zeros(outputs))
    run = Run(W.astype(float), b.astype(float))
    for order in orders:
        epoch(problem, X, y, rate, order, batch_size, rule, weights, average_start, run)
    return run


def epoch(problem, X, y, rate, order, batch_size, rule, weights, average_start, run):
    before = flat(run.W, run.b)
    losses, penalties, rates, norms = 0.0, 0.0, [], []
    for batch in batches(np.asarray(order), batch_size):
        value, G, g = gradient(problem, X[batch], y[batch], run.W, run.b, weights[batch])
        losses += value
        penalties += len(batch) * penalty(problem, run.W)
        rates.append(rate(run.t))
        norms.append(update(problem, run, rule, G, g, rates[-1]))
        include_in_mean(run, average_start)
        run.t += 1
    plain = isinstance(rule, SGD)
    data_loss = losses / weights[order].sum()
    run.history["data_loss"].append(data_loss)
    run.history["loss"].append(data_loss + penalties / len(order))
    W_before, _ = unflat(before, run.W.shape)
    run.history["loss_by_ends"].append(
        data_loss + (penalty(problem, W_before) + penalty(problem, run.W)) / 2
    )
    run.history["gradient_norm"].append(
        np.linalg.norm(flat(run.W, run.b) - before) / sum(rates) if plain else np.mean(norms)
    )
    run.history["learning_rate"].append(rates[-1])


def update(problem, run, rule, G, g, rate):
    """One step of the rule, in place; the norm of the gradient it followed."""
    theta, slope = flat(run.W, run.b), flat(G, g)
    penalised = flat(np.ones_like(run.W), np.zeros_like(run.b))
    l1, l2 = problem.l1 * penalised, problem.l2 * penalised
    W, run.b = unflat(rule.step(theta, slope, rate, l1, l2, run.t), run.W.shape)
    run.W = allowed(problem, W)
    return np.linalg.norm(slope + l2 * theta)


def include_in_mean(run, average_start):
    if not 0 < average_start <= run.t:
        return
    count = run.t - average_start + 1
    if count == 1:
        run.mean_W, run.mean_b = np.zeros_like(run.W), np.zeros_like(run.b)
    run.mean_W = run.mean_W + (run.W - run.mean_W) / count
    run.mean_b = run.mean_b + (run.b - run.mean_b) / count


def flat(W, b):
    return np.concatenate([W.ravel(), b])


def unflat(theta, shape):
    return theta[: shape[0] * shape[1]].reshape(shape), theta[shape[0] * shape[1] :]


def passive_aggressive(
    problem, X, y, eta0, orders, *, variant, weights=None, start=None, outputs=1, average_start=0
):
    """Crammer et al. (2006), one row at a time: just far enough to satisfy the row (hinge or
    epsilon-insensitive).

    "pa1": at most ``eta0`` far, and a row of zeros is passed over entirely. "pa2": softened by ``1
    / (2 eta0)``.
    """
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    W, b = start if start is not None else (np.zeros((outputs, X.shape[1])), np.zeros(outputs))
    run = Run(W.astype(float), b.astype(float))
    for order in orders:
        for i in order:
            length = X[i] @ X[i]
            if variant == "pa1" and length == 0:
                continue
            z, decay = run.W @ X[i] + run.b, max(0.0, 1 - eta0 * problem.l2)
            for k in range(len(z)):
                target = target_of(problem, y[i], k, len(z))
                value = LOSSES[problem.loss](z[k], target, problem.delta)[0]
                move = (
                    min(eta0, value / length) if variant == "pa1" else value / (length + 0.5 / eta0)
                )
                towards = target if problem.loss == "hinge" else (-1 if target < z[k] else 1)
                run.W[k] = soft(
                    run.W[k] * decay + weights[i] * move * towards * X[i], eta0 * problem.l1
                )
                run.W[k] = allowed(problem, run.W[k])
                run.b[k] += weights[i] * move * towards * problem.intercept
            include_in_mean(run, average_start)
            run.t += 1
    return run


# ---- the run that an estimator makes, from the estimator's own parameters ----


def fit(model, X, y, sample_weight=None, epochs=None, **changes):
    """The twin of ``model.fit(X, y, sample_weight)`` for ``shuffle=False`` and ``tol=None``."""
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
    if is_classifier(model):
        weights = weights * compute_sample_weight(model.class_weight, y)
    problem, outputs, y = problem_of(model, y)
    size = len(X) if model.batch_size == "full" else model.batch_size
    settings = {
        "weights": weights / weights.mean(),
        "outputs": outputs,
        "average_start": math.ceil(model.average / size),  # the model counts rows seen
        **changes,
    }
    orders = [np.arange(len(X))] * (epochs or model.max_iter)
    if model.learning_rate in ("pa1", "pa2"):
        return passive_aggressive(
            problem, X, y, model.eta0, orders, variant=model.learning_rate, **settings
        )
    per_epoch = len(batches(orders[0], model.batch_size))
    rate = {
        "constant": lambda: constant(model.eta0),
        "invscaling": lambda: invscaling(model.eta0, model.power_t),
        "optimal": lambda: optimal(model.alpha),
        "step": lambda: step(model.eta0, 0.5, 10, per_epoch),
        "cosine": lambda: cosine(model.eta0, model.max_iter, per_epoch),
    }[model.learning_rate]()
    rule = RULES[model.optimizer]()
    return train(problem, X, y, rate, orders, batch_size=model.batch_size, rule=rule, **settings)


def problem_of(model, y):
    """What the model's parameters ask for: the problem, the number of outputs, the targets as
    numbers.
    """
    l1_ratio = {"l1": 1.0, "l2": 0.0, "elasticnet": model.l1_ratio, None: 0.0}[model.penalty]
    alpha = 0.0 if model.penalty is None else model.alpha
    targets, outputs = "values", 1 if y.ndim == 1 else y.shape[1]
    if is_classifier(model):
        classes, y = np.unique(y, return_inverse=True)
        targets = "softmax" if model.loss == "softmax" and len(classes) > 2 else "one-vs-rest"
        outputs = len(classes) if len(classes) > 2 else 1
    loss = (
        "log_loss" if model.loss == "softmax" and outputs == 1 else model.loss
    )  # two classes need one margin only
    delta = model.quantile if model.loss == "quantile" else model.epsilon
    return (
        Problem(
            loss,
            delta,
            alpha * l1_ratio,
            alpha * (1 - l1_ratio),
            targets,
            model.fit_intercept,
            model.positive,
        ),
        outputs,
        y,
    )


# ---- one matrix, stored in every way that a kernel reads ----

LAYOUTS = ("dense", "csr32", "csr64")
DTYPES = (np.float32, np.float64)


def store(X, layout="dense", dtype=np.float64):
    """``X`` as C-order rows, or as CSR with int32 or int64 indices."""
    X = np.ascontiguousarray(X, dtype=dtype)
    if layout == "dense":
        return X
    rows = csr_array(X)
    # SciPy picks the narrowest index type by itself: put the wanted one in afterwards
    index = {"csr32": np.int32, "csr64": np.int64}[layout]
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    return rows


def pack(W, b, layout="dense", dtype=np.float64):
    """The parameters as kernels hold them: one vector, W by outputs (for sparse rows by columns),
    then b.
    """
    return np.concatenate([(W if layout == "dense" else W.T).ravel(), b]).astype(dtype)


def unpack(theta, outputs, layout="dense"):
    """``pack`` undone: W of shape (outputs, columns) and b."""
    W, b = theta[:-outputs], theta[-outputs:]
    return (W.reshape(outputs, -1) if layout == "dense" else W.reshape(-1, outputs).T), b


# ---- steps in the metric: rows are x -> (x - center) / scale, weights v = scale * w, targets one
# number an output ----


def implicit(loss, z, y, delta, h):
    """The g with g = dL/dz at z - h g, by bisection."""
    low, high = -1e13, 1e13
    for _ in range(200):
        g = (low + high) / 2
        low, high = (g, high) if loss(min(z - h * g, 700.0), y, delta)[1] > g else (low, g)
    return (low + high) / 2


def standardised(X, center, scale):
    return np.divide(X - center, scale, out=np.zeros_like(X), where=scale > 0)


def prox(v, l1, l2):
    return soft(v, l1) / (1 + l2)


def implicit_epoch(problem, X, Y, V, c, rates, l1, l2, weights, batch_size=1):
    """Implicit steps on rows X in the metric, in order; (V, c, mean of V, mean of c). l1 and l2
    have an entry a column.
    """
    loss, V, c = LOSSES[problem.loss], V.copy(), c.copy()
    iterates, orders = [], batches(np.arange(len(X)), batch_size)
    for rate, batch in zip(rates, orders, strict=True):
        G, g = np.zeros_like(V), np.zeros_like(c)
        for i in batch:
            h = rate * weights[i] * (X[i] @ X[i] + problem.intercept)
            for k, z in enumerate(V @ X[i] + c):
                slope = weights[i] * implicit(loss, z, Y[i, k], problem.delta, h)
                G[k] += slope * X[i] / len(batch)
                g[k] += slope * problem.intercept / len(batch)
        V, c = allowed(problem, prox(V - rate * G, rate * l1, rate * l2)), c - rate * g
        iterates.append((V, c))
    t = np.arange(1, len(iterates) + 1)
    mass = t * (t + 1) * (t + 2)
    mean_V, mean_c = (
        np.average([pair[part] for pair in iterates], axis=0, weights=mass) for part in (0, 1)
    )
    return V, c, mean_V, mean_c


def saga_epoch(problem, X, Y, V, c, slopes, rate, l1, l2, weights, probability, order, bend):
    """SAGA from stale slopes (n, outputs), rows drawn with the given probabilities; (V, c,
    slopes).
    """
    loss, V, c, slopes, n = LOSSES[problem.loss], V.copy(), c.copy(), slopes.copy(), len(X)
    for i in order:
        G, g, share = slopes.T @ X / n, slopes.sum(axis=0) / n, 1 / (n * probability[i])
        h = rate * share * (X[i] @ X[i] + problem.intercept)
        fresh = np.zeros(len(c))
        for k, z in enumerate(V @ X[i] + c):
            if h * weights[i] * bend <= 1:
                fresh[k] = weights[i] * loss(z, Y[i, k], problem.delta)[1]
            else:
                fresh[k] = weights[i] * implicit(
                    loss, z + h * slopes[i, k], Y[i, k], problem.delta, h * weights[i]
                )
        change = fresh - slopes[i]
        V = allowed(
            problem, prox(V - rate * (share * np.outer(change, X[i]) + G), rate * l1, rate * l2)
        )
        c = c - rate * (share * change + g) * problem.intercept
        slopes[i] = fresh
    return V, c, slopes


# Parameters whose defaults warn that they will change; of few rows there are few folds.
QUIET = {
    "LogisticRegressionCV": {
        "l1_ratios": (0,),
        "scoring": "neg_log_loss",
        "use_legacy_attributes": False,
        "cv": 3,
    }
}


def quiet(kind):
    return kind(**QUIET.get(kind.__name__, {}))
