"""`python -m bench auto`: training with no rate to choose, beside plain SGD with the best rate in hindsight and Vowpal Wabbit.

Every objective is evaluated here, in the columns as they are given, from the coefficients; a gap is (F - F*) / (F of the best
constant model - F*). Each number of epochs is a fit of its own, the median of several seeds. What may be believed of `converged_`
and `optimality_`, and whether any scale of the columns breaks a fit, comes after the tables.
"""

import statistics
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

import fastgd
from bench import hindsight, honesty, reference, results, tasks
from bench.hindsight import MARKS

SEEDS = (0, 1, 2)
MEDIAN_RATIO = (1.01, 1.002, 1.0005)  # goals: of F over the best in hindsight, at each mark
WORST_RATIO = 1.5  # at the first mark, noiseless targets apart
GAP_RATIO = {"smooth losses": 0.2, "hinge and tube": 1.0}  # geometric mean of the ratio of the gaps at the second mark
STREAM_MEAN, STREAM_WORST = 0.05, 0.25  # gap after one pass
CHUNK = 1000  # rows a call of partial_fit
LEAST_GAP = 1e-12  # below which gaps are rounding
QUICK_MOST = 1000  # rows
UNREACHED = 1e-12  # tol


def main(arguments=None):
    parser = results.parser("auto", __doc__.partition("\n")[0].partition(": ")[2])
    parser.add_argument("--learning-rate", default="auto", help="rate of the stochastic fits (default auto)")
    options = parser.parse_args(arguments)
    chosen, notes = tasks.available([task for task in tasks.AUTO if results.chosen(task, options)])
    streams, absent = _streams()
    report = results.start(options, notes + absent)
    print(f"{'':<32}gap after {'/'.join(map(str, MARKS))} epochs, best of 40 | fastgd | objective ratio | one pass: "
          f"fastgd{''.join(f', {name}' for name in streams)}")  # fmt: skip
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what did not converge in so few epochs
        for task in chosen:
            loaded = task.load()
            if options.quick and len(loaded[2]) > QUICK_MOST:
                continue
            result = measure(*loaded, options.learning_rate, streams)
            print(line(result), flush=True)
            results.add(report, result, options)
    report["summary"] = list(summary(report["results"]))
    if not options.names:
        report["summary"] += honesty.lines(options.quick, [pair for result in report["results"] for pair in result["optimality"]])
    results.finish(report, options)
    return 0


def _streams():
    try:
        from bench.peers.vowpal_wabbit import stream
    except ImportError as error:
        return {}, [f"vowpalwabbit: skipped, {error}"]
    return {"vowpalwabbit": stream}, []


def measure(task, X, t, rate, streams):
    optimum = reference.optimum(task, X, t)
    bar, own, optimality = hindsight.best(task, X, t), [], []
    for mark in MARKS:
        values = []
        for seed in SEEDS:
            tol = None if seed else UNREACHED  # with which the model says how far it believes to be
            model = estimator(task, learning_rate=rate, max_iter=mark, tol=tol, random_state=seed)
            values.append(_value(task, X, t, lambda model=model: _coefficients(model.fit(X, t))))
            if getattr(model, "optimality_", None) is not None:
                optimality.append([task.name, task.smooth, float(model.optimality_), optimum.gap(values[-1])])
        own.append(statistics.median(values))
    order = np.random.default_rng(0).permutation(len(t))
    rows, targets = X[order], t[order]
    passes = {"fastgd": optimum.gap(_value(task, X, t, lambda: _stream(task, rows, targets, rate)))}
    for name, stream in streams.items():
        try:
            passes[name] = optimum.gap(task.value(X, t, *stream(task.loss, rows, targets)))
        except Exception as error:  # what it cannot do is not in the table
            passes[name] = str(error)[:60]
    return {
        "problem": task.name, "rows": len(t), "loss": task.loss, "smooth": task.loss in tasks.SMOOTH, "noiseless": task.noiseless,
        "optimum": optimum.value, "constant": optimum.constant, "hindsight": bar, "fastgd": own,
        "hindsight_gaps": [optimum.gap(value) for value in bar], "gaps": [optimum.gap(value) for value in own],
        "ratios": [value / best for value, best in zip(own, bar, strict=True)], "stream": passes, "optimality": optimality,
    }  # fmt: skip


def estimator(task, **parameters):
    """fastgd's SGDRegressor or SGDClassifier for the task."""
    model = fastgd.SGDRegressor if task.regression else fastgd.SGDClassifier
    alpha = task.l1 + task.l2
    penalty = "elasticnet" if task.l1 and task.l2 else "l1" if task.l1 else "l2"
    return model(loss=task.loss, penalty=penalty, alpha=alpha, l1_ratio=task.l1 / alpha if alpha else None,
                 epsilon=task.epsilon, fit_intercept=task.intercept, **parameters)  # fmt: skip


def _value(task, X, t, train):
    """F of what train() returns; infinite where it raises, as it may when training diverged."""
    try:
        return task.value(X, t, *train())
    except (ValueError, ArithmeticError):
        return np.inf


def _coefficients(model):
    return model.coef_, model.intercept_


def _stream(task, X, t, rate):
    """Coefficients after one pass in chunks."""
    model = estimator(task, learning_rate=rate, random_state=0)
    labels = {} if task.regression else {"classes": [-1.0, 1.0]}
    for start in range(0, len(t), CHUNK):
        model.partial_fit(X[start : start + CHUNK], t[start : start + CHUNK], **labels)
    return _coefficients(model)


def line(result):
    def gaps(values):
        return " ".join(f"{value:7.1e}" for value in values)

    ratios = " ".join(f"{ratio:8.4f}" if ratio < 1e4 else f"{ratio:8.0e}" for ratio in result["ratios"])
    passes = " ".join(f"{gap:7.1e}" if isinstance(gap, float) else f"{'-':>7}" for gap in result["stream"].values())
    return f"{result['problem']:<30}{gaps(result['hindsight_gaps'])} | {gaps(result['gaps'])} | {ratios} | {passes}"


def summary(found):
    """One line a goal."""
    if not found:
        return
    ratios = np.array([result["ratios"] for result in found])
    medians = np.median(ratios, axis=0)
    for mark, median, goal in zip(MARKS, medians, MEDIAN_RATIO, strict=True):
        yield f"median objective ratio after {mark} epochs: {median:.5f} (goal {goal:g}){verdict(median <= goal)}"
    most = {result["problem"]: result["ratios"][0] for result in found if not result["noiseless"]}
    over = [f"{name} {ratio:.2f}" for name, ratio in most.items() if ratio > WORST_RATIO]
    yield (f"worst objective ratio after {MARKS[0]}, noiseless targets apart: {max(most.values(), default=1.0):.3f} "
           f"(goal {WORST_RATIO:g}){verdict(not over)}{'  ' * bool(over)}{'; '.join(over)}")  # fmt: skip
    for (kind, goal), smooth in zip(GAP_RATIO.items(), (True, False), strict=True):
        pairs = [(result["gaps"][1], result["hindsight_gaps"][1]) for result in found if result["smooth"] == smooth]
        if pairs:
            own, best = np.clip(pairs, LEAST_GAP, 1e300).T
            mean = np.exp(np.mean(np.log(own / best)))
            yield (f"geometric mean of the gaps' ratio after {MARKS[1]}, {kind} ({len(pairs)} problems): {mean:.3g} (goal {goal:g})"
                   f"{verdict(mean <= goal)}")  # fmt: skip
    for name in found[0]["stream"]:
        gaps = [result["stream"][name] for result in found if isinstance(result["stream"][name], float)]
        if gaps:
            reached = np.mean(gaps) <= STREAM_MEAN and max(gaps) <= STREAM_WORST
            goal = f" (goals {STREAM_MEAN:g}, {STREAM_WORST:g}){verdict(reached)}" if name == "fastgd" else ""
            yield f"gap after one pass, {name} ({len(gaps)} problems): mean {np.mean(gaps):.3g}, worst {max(gaps):.3g}{goal}"


def verdict(reached):
    return "" if reached else "  goal missed"
