"""Whether what a fit says of itself is true, and whether it survives any scale of the columns."""

import warnings

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

import fastgd
from bench import auto, reference, solvers, tasks
from bench.tasks import Task

EXPONENTS = (-150, -100, -50, 0, 50, 100, 150)
PROBLEMS, QUICK_PROBLEMS = 300, 30
SLACK = 10  # the true gap of what says that it converged may be so many times `tol`
LIMITS = (1, 2, 3, 5, 8, 13, 21, 50)  # iterations after which `optimality_` is read
BELOW, ROUNDING = 1e-2, 1e-10  # true gaps between which it is judged
WITHIN = (0.5, 2.0)
MOST_ROWS = 5000
DEFAULTS = {  # objective of each model's default parameters on n rows
    "SGDClassifier": lambda n: Task("", "", "hinge", 1e-4),
    "SGDRegressor": lambda n: Task("", "", "squared_error", 1e-4),
    "LinearRegression": lambda n: Task("", "", "squared_error"),
    "Ridge": lambda n: Task("", "", "squared_error", 1 / n),
    "Lasso": lambda n: Task("", "", "squared_error", l1=1.0),
    "ElasticNet": lambda n: Task("", "", "squared_error", 0.5, 0.5),
    "LogisticRegression": lambda n: Task("", "", "log_loss", 1 / n),
    "LinearSVC": lambda n: Task("", "", "squared_hinge", 1 / n),
    "LinearSVR": lambda n: Task("", "", "epsilon_insensitive", 1 / n, epsilon=0.0),
}


def lines(quick, stochastic):
    """The three rows; `stochastic` holds (name, smooth, optimality_, true gap) of fits already made."""
    with threadpool_limits(1):
        yield from scales()
        yield from converged(QUICK_PROBLEMS if quick else PROBLEMS)
        yield from optimality(quick, stochastic)


def scales(rows=200, columns=8):
    """Default fits of every model on columns of scales 1e-150 to 1e150, alone and mixed, dense and CSR."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((rows, columns)) + 0.5
    z = Z @ rng.standard_normal(columns) + rng.standard_normal(rows)
    names = [name for name in DEFAULTS if hasattr(fastgd, name)]
    wrong, count = [], 0
    for exponents in [np.full(columns, exponent) for exponent in EXPONENTS] + [np.linspace(-150, 150, columns)]:
        for X in (Z * 10.0**exponents, csr_array(np.where(Z > 0.5, Z * 10.0**exponents, 0.0))):
            for name in names:
                task = DEFAULTS[name](rows)
                t = z if task.regression else np.where(z > 0, 1.0, -1.0)
                reason, count = _fault(name, task, X, t), count + 1
                if reason:
                    layout = "dense" if isinstance(X, np.ndarray) else "CSR"
                    wrong.append(f"{name} {layout} 1e{exponents[0]:g}..1e{exponents[-1]:g}: {reason}")
    absent = [name for name in DEFAULTS if name not in names]
    yield (f"column scales 1e-150 to 1e150, {count} default fits: {len(wrong)} wrong (goal 0){auto.verdict(not wrong)}"
           f"{'; no ' + ', '.join(absent) if absent else ''}")  # fmt: skip
    yield from (f"    {text}" for text in wrong[:10])


def _fault(name, task, X, t):
    """What is wrong with a default fit; empty if nothing is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = getattr(fastgd, name)().fit(X, t)
        except ValueError as error:
            return f"ValueError: {str(error)[:60]}"
    overflow = [str(warning.message)[:60] for warning in caught if issubclass(warning.category, RuntimeWarning)]
    if overflow:
        return f"RuntimeWarning: {overflow[0]}"
    if not (np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()):
        return "not finite"
    start, end = task.value(X, t, np.zeros(X.shape[1]), 0.0), task.value(X, t, model.coef_, model.intercept_)
    return "" if end <= start * (1 + 1e-9) else f"F {end:.3g} above the start's {start:.3g}"


def converged(count):
    """Random problems, ill-conditioned ones included: where `converged_` is true the gap must be at most SLACK * tol."""
    said, unknown, short, worst = 0, 0, [], 0.0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        task, X, t = random_problem(rng)
        tol = 10.0 ** -rng.integers(2, 9)
        model, name = _random_model(rng, task, len(t), tol)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model.fit(X, t)
            except ValueError as error:
                short.append(f"{seed} {name}: {str(error)[:60]}")
                continue
            if not getattr(model, "converged_", False):
                continue
            optimum = reference.solve(task, X, t)[0]
        if optimum.error > tol:
            unknown += 1
            continue
        said += 1
        value = task.value(X, t, *solvers.coefficients(model))
        rounding = 1e-14 * abs(value) / max(optimum.constant - optimum.value, 1e-300) + optimum.error
        ratio = max(optimum.gap(value) - rounding, 0.0) / tol
        worst = max(worst, ratio)
        if ratio > SLACK:
            short.append(f"{seed} {name}, tol {tol:g}: gap {ratio:.3g} tol")
    yield (f"converged_ on {count} random problems: {said} say so, {unknown} more where F* is not known; "
           f"gap over tol at most {worst:.3g} (goal {SLACK:g}), {len(short)} wrong{auto.verdict(not short and said)}")  # fmt: skip
    yield from (f"    {text}" for text in short[:10])


def random_problem(rng):
    """(task, X, t): 20 to 400 rows, correlated columns of scales up to 1e6 apart, weak and strong penalties."""
    rows, columns = int(20 * 20 ** rng.random()), int(rng.integers(1, 40))
    X = rng.standard_normal((rows, columns)) @ np.diag(10 ** rng.uniform(-1, 1, columns) ** rng.integers(0, 2))
    X += rng.choice([0.0, 1.0, 30.0]) * X[:, [0]] + rng.choice([0.0, 5.0])
    X = np.ascontiguousarray(X * 10 ** rng.uniform(-1, 1, columns) ** rng.choice([0, 1, 3]))
    loss = str(rng.choice(["squared_error", "log_loss", "hinge", "squared_hinge", "epsilon_insensitive"]))
    task = Task("random", "", loss, l2=10 ** rng.uniform(-4, 1) / rows)
    z = (X / X.std(axis=0)) @ rng.standard_normal(columns)
    z = z / z.std() + rng.choice([0.01, 0.5]) * rng.standard_normal(rows)
    t = z * 10 ** rng.uniform(-2, 3) if task.regression else np.where(z > np.median(z), 1.0, -1.0)
    if loss in ("squared_error", "log_loss") and rng.random() < 0.4:
        slopes = t - t.mean() if task.regression else t / 2
        least = np.abs((X - X.mean(axis=0)).T @ slopes).max() / rows  # that makes w = 0
        task = Task("random", "", loss, l1=float(10 ** rng.uniform(-3, -0.5) * least))
    return task, X, t


def _random_model(rng, task, rows, tol):
    """(model, name): the named model, or SGD under "auto" with some batch size."""
    stochastic, batch_size = rng.random() < 0.3, (1, 32, "full")[rng.integers(3)]
    name, parameters = solvers.named(task, rows)
    model = getattr(fastgd, name, None)
    if stochastic or model is None:
        model = auto.estimator(task, learning_rate="auto", batch_size=batch_size, tol=tol, random_state=0)
        return model, f"SGD {task.loss} {batch_size}"
    return model(**parameters, tol=tol), f"{name} {task.loss}"


def optimality(quick, pairs):
    """`optimality_` against the true gap, along the iterations of the named models."""
    pairs, kinds = [tuple(pair) for pair in pairs], set()
    for task in tasks.available(tasks.AUTO)[0]:
        task, X, t = task.load()
        name, parameters = solvers.named(task, len(t))
        if len(t) > (auto.QUICK_MOST if quick else MOST_ROWS) or not hasattr(fastgd, name):
            continue
        optimum = reference.optimum(task, X, t)
        for limit in LIMITS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = getattr(fastgd, name)(**parameters, tol=1e-10, max_iter=limit).fit(X, t)
            if getattr(model, "optimality_", None) is not None:
                gap = optimum.gap(task.value(X, t, *solvers.coefficients(model)))
                pairs.append((task.name, task.smooth, float(model.optimality_), gap))
                kinds.add(model.optimality_kind_)
    for kind, smooth in (("smooth", True), ("hinge, tube, L1", False)):
        judged = [(name, told / gap) for name, is_smooth, told, gap in pairs if is_smooth == smooth and ROUNDING < gap < BELOW]
        if not judged:
            yield f"optimality_ over the true gap, {kind}: no fit reports it  goal missed"
            continue
        ratios = [ratio for _, ratio in judged]
        low, high = WITHIN if smooth else (1.0 - 1e-6, np.inf)
        wrong = [f"{name} {ratio:.3g}" for name, ratio in judged if not low <= ratio <= high]
        goal = f"within [{low:g}, {high:g}]" if smooth else "an upper bound"
        yield (f"optimality_ over the true gap, {kind} ({len(judged)} fits with a gap in [{ROUNDING:g}, {BELOW:g}]): "
               f"{min(ratios):.3g} to {max(ratios):.3g}, {len(wrong)} wrong (goal {goal}){auto.verdict(not wrong)}")  # fmt: skip
        yield from (f"    {text}" for text in wrong[:10])
    if kinds:
        yield f"    kinds: {', '.join(sorted(map(str, kinds)))}"
