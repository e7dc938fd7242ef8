"""`python -m bench auto`: SGD without a rate to choose, beside the best rate in hindsight.

Every objective is evaluated here, in the original columns, from the coefficients. A gap is
(F - F*) / (F of the best constant model - F*). Each number of epochs is a fit of its own, the
median of several seeds. After the tables come the checks of diagnostics.py.
"""

import statistics
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from bench import diagnostics, hindsight, optimum, peers, problems, report
from bench.hindsight import MARKS
from bench.objective import SMOOTH
from bench.peers.fastgd import sgd
from bench.report import missed

SEEDS = (0, 1, 2)
MEDIAN_RATIO = (1.01, 1.002, 1.0005)  # goals: F over the best in hindsight, at each mark
WORST_RATIO = 1.5  # goal at the first mark, noiseless targets apart
# goals: geometric mean of the ratio of the gaps at the second mark
GAP_RATIO = {"smooth losses": 0.2, "hinge and tube": 1.0}
PASS_MEAN, PASS_WORST = 0.05, 0.25  # goals: gap after one pass
CHUNK = 1000  # rows a call of partial_fit
MIN_GAP = 1e-12  # below which gaps are rounding
QUICK_ROWS = 1000  # rows of a problem, at most
UNREACHED = 1e-12  # tol of the fits whose optimality_ is read


def main(arguments):
    parser = report.parser("auto", __doc__.partition("\n")[0].partition(": ")[2])
    parser.add_argument("--learning-rate", default="auto", help="of the stochastic fits")
    options = parser.parse_args(arguments)
    chosen, notes = report.available(report.choose(problems.AUTO, options.names))
    one_pass, absent = peers.load("one_pass")
    made = report.Report(options, notes + absent)
    others = "".join(f", {name}" for name in one_pass)
    marks = "/".join(map(str, MARKS))
    print(f"{'':<32}gap after {marks} epochs, best of 40 | fastgd | objective ratio | one pass: "
          f"fastgd{others}")  # fmt: skip
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what did not converge in so few epochs
        for problem in chosen:
            loaded = problem.load()
            if options.quick and len(loaded[2]) > QUICK_ROWS:
                continue
            result = measure(*loaded, options.learning_rate, one_pass)
            made.add(result, [line(result)])
    lines = list(summary(made.results))
    if not options.names:
        pairs = [pair for result in made.results for pair in result["optimality"]]
        lines += diagnostics.lines(options.quick, pairs)
    made.finish(lines)
    return 0


def measure(problem, X, t, rate, one_pass):
    solution = optimum.optimum(problem, X, t)
    best, own, optimality = hindsight.best(problem, X, t), [], []
    for mark in MARKS:
        values = []
        for seed in SEEDS:
            tol = None if seed else UNREACHED  # with a tol the model estimates its gap
            model = sgd(problem, learning_rate=rate, max_iter=mark, tol=tol, random_state=seed)
            try:
                model.fit(X, t)
                values.append(problem.value(X, t, *peers.coefficients(model)))
            except (ValueError, ArithmeticError):  # it diverged
                values.append(np.inf)
            if getattr(model, "optimality_", None) is not None:
                gap = solution.gap(values[-1])
                optimality.append([problem.name, problem.smooth, float(model.optimality_), gap])
        own.append(statistics.median(values))
    order, passes = np.random.default_rng(0).permutation(len(t)), {}
    one_pass = {"fastgd": lambda *data: fastgd_one_pass(*data, rate)} | one_pass
    for name, train in one_pass.items():
        try:
            gap = solution.gap(problem.value(X, t, *train(problem, X[order], t[order])))
        except Exception as error:  # what a peer cannot do is not in the table
            gap = np.inf if name == "fastgd" else str(error)[:60]
        passes[name] = gap
    return {
        "problem": problem.name,
        "smooth": problem.loss in SMOOTH,
        "noiseless": problem.noiseless,
        "optimum": vars(solution),
        "hindsight": best,
        "fastgd": own,
        "hindsight_gaps": [solution.gap(value) for value in best],
        "gaps": [solution.gap(value) for value in own],
        "ratios": [value / of_best for value, of_best in zip(own, best, strict=True)],
        "one_pass": passes,
        "optimality": optimality,
    }


def fastgd_one_pass(problem, X, t, rate):
    model = sgd(problem, learning_rate=rate, random_state=0)
    labels = {} if problem.regression else {"classes": [-1.0, 1.0]}
    for start in range(0, len(t), CHUNK):
        model.partial_fit(X[start : start + CHUNK], t[start : start + CHUNK], **labels)
    return peers.coefficients(model)


def line(result):
    def gaps(values):
        return " ".join(f"{gap:7.1e}" if isinstance(gap, float) else f"{'-':>7}" for gap in values)

    ratios = " ".join(f"{r:8.4f}" if r < 1e4 else f"{r:8.0e}" for r in result["ratios"])
    best, own = gaps(result["hindsight_gaps"]), gaps(result["gaps"])
    one_pass = gaps(result["one_pass"].values())
    return f"{result['problem']:<30}{best} | {own} | {ratios} | {one_pass}"


def summary(results):
    """One line a goal."""
    if not results:
        return
    medians = np.median([result["ratios"] for result in results], axis=0)
    for mark, median, goal in zip(MARKS, medians, MEDIAN_RATIO, strict=True):
        text = f"median objective ratio after {mark} epochs: {median:.5f} (goal {goal:g})"
        yield text + missed(median <= goal)
    first = {r["problem"]: r["ratios"][0] for r in results if not r["noiseless"]}
    over = [f"{name} {ratio:.2f}" for name, ratio in first.items() if ratio > WORST_RATIO]
    worst = max(first.values(), default=1.0)
    text = f"worst objective ratio after {MARKS[0]}, noiseless targets apart: {worst:.3f}"
    yield f"{text} (goal {WORST_RATIO:g}){missed(not over)}{'  ' * bool(over)}{'; '.join(over)}"
    for (kind, goal), smooth in zip(GAP_RATIO.items(), (True, False), strict=True):
        same = [result for result in results if result["smooth"] == smooth]
        if same:
            pairs = [(result["gaps"][1], result["hindsight_gaps"][1]) for result in same]
            own, best = np.clip(pairs, MIN_GAP, 1e300).T
            mean = np.exp(np.mean(np.log(own / best)))
            text = f"geometric mean of the gaps' ratio after {MARKS[1]}, {kind}"
            yield f"{text} ({len(same)} problems): {mean:.3g} (goal {goal:g}){missed(mean <= goal)}"
    for name in results[0]["one_pass"]:
        gaps = [result["one_pass"][name] for result in results]
        gaps = [gap for gap in gaps if isinstance(gap, float)]
        if gaps:
            mean, worst = np.mean(gaps), max(gaps)
            goal = f" (goals {PASS_MEAN:g}, {PASS_WORST:g})"
            goal += missed(mean <= PASS_MEAN and worst <= PASS_WORST)
            text = f"gap after one pass, {name} ({len(gaps)} problems)"
            yield f"{text}: mean {mean:.3g}, worst {worst:.3g}{goal if name == 'fastgd' else ''}"
