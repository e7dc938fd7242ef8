"""Whether what a fit says of itself is true, and whether any scale of the columns breaks it."""

import warnings

import numpy as np
from scipy.sparse import csr_array, issparse
from threadpoolctl import threadpool_limits

import fastgd
from bench import optimum, peers, problems, report
from bench.peers.fastgd import sgd
from bench.problems import Problem
from bench.report import missed

EXPONENTS = (-150, -100, -50, 0, 50, 100, 150)  # of the column scales
RANDOM, QUICK_RANDOM = 300, 30  # random problems
SLACK = 10  # the true gap of a fit with converged_ may be so many times `tol`
ITERATIONS = (1, 2, 3, 5, 8, 13, 21, 50)  # after which `optimality_` is read
MIN_GAP, MAX_GAP = 1e-10, 1e-2  # true gaps between which it is judged; below is rounding
WITHIN = (0.5, 2.0)  # goal of optimality_ over the true gap, where F is smooth
MAX_ROWS, QUICK_ROWS = 5000, 1000
SHOWN = 10  # of the wrong fits
DEFAULTS = {  # the objective of each model's default parameters on n rows
    "SGDClassifier": lambda n: Problem("", "", "hinge", 1e-4),
    "SGDRegressor": lambda n: Problem("", "", "squared_error", 1e-4),
    "LinearRegression": lambda n: Problem("", "", "squared_error"),
    "Ridge": lambda n: Problem("", "", "squared_error", 1 / n),
    "Lasso": lambda n: Problem("", "", "squared_error", l1=1.0),
    "ElasticNet": lambda n: Problem("", "", "squared_error", 0.5, 0.5),
    "LogisticRegression": lambda n: Problem("", "", "log_loss", 1 / n),
    "LinearSVC": lambda n: Problem("", "", "squared_hinge", 1 / n),
    "LinearSVR": lambda n: Problem("", "", "epsilon_insensitive", 1 / n, epsilon=0.0),
}


def lines(quick, pairs):
    """One line a check, and the wrong fits; `pairs` as of `optimality`, of fits already made."""
    with threadpool_limits(1):
        for text, wrong in (scales(), converged(QUICK_RANDOM if quick else RANDOM)):
            yield text
            yield from (f"    {fit}" for fit in wrong[:SHOWN])
        yield from optimality(QUICK_ROWS if quick else MAX_ROWS, pairs)


def scales(rows=200, columns=8):
    """Default fits of every model on columns of scales 1e-150 to 1e150, alone and mixed."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((rows, columns)) + 0.5
    z = Z @ rng.standard_normal(columns) + rng.standard_normal(rows)
    alone = [np.full(columns, exponent) for exponent in EXPONENTS]
    wrong, count = [], 0
    for exponents in [*alone, np.linspace(-150, 150, columns)]:
        dense = Z * 10.0**exponents
        for X in (dense, csr_array(np.where(Z > 0.5, dense, 0.0))):
            for name, objective in DEFAULTS.items():
                problem, count = objective(rows), count + 1
                reason = _fault(name, problem, X, _targets(problem, z, 0.0))
                if reason:
                    case = f"{name} {'CSR' if issparse(X) else 'dense'}"
                    wrong.append(f"{case} 1e{exponents[0]:g}..1e{exponents[-1]:g}: {reason}")
    text = f"column scales 1e-150 to 1e150, {count} default fits: {len(wrong)} wrong (goal 0)"
    return text + missed(not wrong), wrong


def _targets(problem, z, threshold):
    return z if problem.regression else np.where(z > threshold, 1.0, -1.0)


def _fault(name, problem, X, t):
    """What is wrong with a default fit; empty if nothing is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = getattr(fastgd, name)().fit(X, t)
        except ValueError as error:
            return f"ValueError: {str(error)[:60]}"
    for warning in caught:
        if issubclass(warning.category, RuntimeWarning):
            return f"RuntimeWarning: {str(warning.message)[:60]}"
    if not (np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()):
        return "not finite"
    start = problem.value(X, t, np.zeros(X.shape[1]), 0.0)
    end = problem.value(X, t, model.coef_, model.intercept_)
    return "" if end <= start * (1 + 1e-9) else f"F {end:.3g} above the start's {start:.3g}"


def converged(count):
    """Random problems: where `converged_` is true the gap must be at most SLACK * tol."""
    claimed, unknown, wrong, worst = 0, 0, [], 0.0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        problem, X, t = random_problem(rng)
        tol = 10.0 ** -rng.integers(2, 9)
        model, name = _random_model(rng, problem, len(t), tol)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model.fit(X, t)
            except ValueError as error:
                wrong.append(f"{seed} {name}: {str(error)[:60]}")
                continue
            if not model.converged_:
                continue
            solution = optimum.solve(problem, X, t)[0]
        if solution.error > tol:
            unknown += 1
            continue
        claimed += 1
        value = problem.value(X, t, *peers.coefficients(model))
        unit = max(solution.constant - solution.value, 1e-300)
        rounding = 1e-14 * abs(value) / unit + solution.error
        ratio = max(solution.gap(value) - rounding, 0.0) / tol
        worst = max(worst, ratio)
        if ratio > SLACK:
            wrong.append(f"{seed} {name}, tol {tol:g}: gap {ratio:.3g} tol")
    return (
        f"converged_ on {count} random problems: {claimed} say so, {unknown} more where F* is not "
        f"known; gap over tol at most {worst:.3g} (goal {SLACK:g}), {len(wrong)} wrong"
        f"{missed(not wrong and claimed)}"
    ), wrong


def random_problem(rng):
    """(problem, X, t): 20 to 400 rows, correlated columns, ill-conditioned ones included.

    Scales are up to 1e6 apart; penalties weak or strong.
    """
    rows, columns = int(20 * 20 ** rng.random()), int(rng.integers(1, 40))
    X = rng.standard_normal((rows, columns))
    X = X @ np.diag(10 ** rng.uniform(-1, 1, columns) ** rng.integers(0, 2))
    X += rng.choice([0.0, 1.0, 30.0]) * X[:, [0]] + rng.choice([0.0, 5.0])
    X = np.ascontiguousarray(X * 10 ** rng.uniform(-1, 1, columns) ** rng.choice([0, 1, 3]))
    losses = ["squared_error", "log_loss", "hinge", "squared_hinge", "epsilon_insensitive"]
    loss = str(rng.choice(losses))
    problem = Problem("random", "", loss, l2=10 ** rng.uniform(-4, 1) / rows)
    z = (X / X.std(axis=0)) @ rng.standard_normal(columns)
    z = z / z.std() + rng.choice([0.01, 0.5]) * rng.standard_normal(rows)
    z = z * 10 ** rng.uniform(-2, 3) if problem.regression else z
    t = _targets(problem, z, np.median(z))
    if loss in ("squared_error", "log_loss") and rng.random() < 0.4:
        slopes = t - t.mean() if problem.regression else t / 2
        # the smallest l1 whose solution is w = 0
        l1_max = np.abs((X - X.mean(axis=0)).T @ slopes).max() / rows
        problem = Problem("random", "", loss, l1=float(10 ** rng.uniform(-3, -0.5) * l1_max))
    return problem, X, t


def _random_model(rng, problem, rows, tol):
    """(model, name): the named model, or SGD under "auto" with some batch size."""
    stochastic, batch_size = rng.random() < 0.3, (1, 32, "full")[rng.integers(3)]
    if stochastic:
        settings = dict(learning_rate="auto", batch_size=batch_size, tol=tol, random_state=0)
        return sgd(problem, **settings), f"SGD {problem.loss} {batch_size}"
    name, parameters = peers.named_model(problem, rows)
    return getattr(fastgd, name)(**parameters, tol=tol), f"{name} {problem.loss}"


def optimality(max_rows, pairs):
    """`optimality_` over the true gap, along the iterations of the named models.

    `pairs` holds (problem, whether F is smooth, optimality_, true gap).
    """
    pairs, kinds = list(pairs), set()
    for problem in report.available(problems.AUTO)[0]:
        problem, X, t = problem.load()
        if len(t) > max_rows:
            continue
        solution = optimum.optimum(problem, X, t)
        name, parameters = peers.named_model(problem, len(t))
        for count in ITERATIONS:
            model = getattr(fastgd, name)(**parameters, tol=1e-10, max_iter=count)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X, t)
            if getattr(model, "optimality_", None) is not None:
                gap = solution.gap(problem.value(X, t, *peers.coefficients(model)))
                pairs.append((problem.name, problem.smooth, float(model.optimality_), gap))
                kinds.add(str(model.optimality_kind_))
    for kind, smooth in (("smooth", True), ("hinge, tube, L1", False)):
        same = [(name, value, gap) for name, is_smooth, value, gap in pairs if is_smooth == smooth]
        ratios = [(name, value / gap) for name, value, gap in same if MIN_GAP < gap < MAX_GAP]
        text = f"optimality_ over the true gap, {kind}"
        if not ratios:
            yield f"{text}: no fit reports it{missed(False)}"
            continue
        low, high = WITHIN if smooth else (1.0 - 1e-6, np.inf)
        wrong = [f"{name} {ratio:.3g}" for name, ratio in ratios if not low <= ratio <= high]
        goal = f"within [{low:g}, {high:g}]" if smooth else "an upper bound"
        least, most = min(ratio for _, ratio in ratios), max(ratio for _, ratio in ratios)
        yield (
            f"{text} ({len(ratios)} fits with a gap in [{MIN_GAP:g}, {MAX_GAP:g}]): {least:.3g} "
            f"to {most:.3g}, {len(wrong)} wrong (goal {goal}){missed(not wrong)}"
        )
        yield from (f"    {fit}" for fit in wrong[:SHOWN])
    yield f"    kinds: {', '.join(sorted(kinds))}"
