"""`python -m bench auto`: SGD without a rate to choose, beside the best rate in hindsight.

Every objective is evaluated here, in the original columns, from the coefficients. A gap is
(F - F*) / (F of the best constant model - F*). Each number of epochs is a fit of its own, the
median of several seeds.
"""

import statistics
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from bench import catalogue, hindsight, optimum, peers, report
from bench.hindsight import MARKS
from bench.objective import SMOOTH
from bench.peers.fastgd import sgd
from bench.report import missed

SEEDS = (0, 1, 2)
MEDIAN_RATIO = (1.01, 1.002, 1.0005)  # goals: F over the best in hindsight, at each mark
# goals: geometric mean of the ratio of the gaps at the second mark
GAP_RATIO = {"smooth losses": 0.2, "hinge and tube": 1.0}
PASS_MEAN, PASS_WORST = 0.05, 0.25  # goals: gap after one pass
MIN_GAP = 1e-12  # below which gaps are rounding


def main(arguments):
    options = report.parser("auto", __doc__).parse_args(arguments)
    chosen, notes = report.choose(catalogue.AUTO, options.names)
    one_pass, absent = peers.load("one_pass")
    report.head(notes + absent)
    columns = f"gap after {'/'.join(map(str, MARKS))} epochs, best of 40 | fastgd | objective ratio"
    print(f"{'':<32}{columns} | one pass: {', '.join(one_pass)}")
    results = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what did not converge in so few epochs
        for problem in chosen:
            results.append(measure(*problem.load(), one_pass))
            print(line(*results[-1]), flush=True)
    print("", *summary(results), sep="\n")
    return 0


def measure(problem, X, t, one_pass):
    """(problem, F of the best in hindsight, F of fastgd, their gaps, {peer: gap after one pass})"""
    solution, best, own = optimum.optimum(problem, X, t), hindsight.best(problem, X, t), []
    for mark in MARKS:
        values = []
        for seed in SEEDS:
            model = sgd(problem, max_iter=mark, tol=None, random_state=seed)
            try:
                values.append(problem.value(X, t, *peers.coefficients(model.fit(X, t))))
            except (ValueError, ArithmeticError):  # it diverged
                values.append(np.inf)
        own.append(statistics.median(values))
    order, passes = np.random.default_rng(0).permutation(len(t)), {}
    for name, train in one_pass.items():
        try:
            passes[name] = solution.gap(problem.value(X, t, *train(problem, X[order], t[order])))
        except Exception:  # what a peer cannot do is not in the table
            passes[name] = np.inf if name == "fastgd" else None
    gaps = [[solution.gap(value) for value in values] for values in (best, own)]
    return problem, np.array(best), np.array(own), gaps, passes


def line(problem, best, own, gaps, passes):
    def texts(values):
        return " ".join(f"{'-':>7}" if gap is None else f"{gap:7.1e}" for gap in values)

    ratios = " ".join(f"{r:8.4f}" if r < 1e4 else f"{r:8.0e}" for r in own / best)
    columns = [*map(texts, gaps), ratios, texts(passes.values())]
    return f"{problem.name:<30}{' | '.join(columns)}"


def summary(results):
    """One line a goal."""
    ratios = np.array([own / best for _, best, own, *_ in results]).T
    for mark, column, goal in zip(MARKS, ratios, MEDIAN_RATIO, strict=True):
        median, worst = np.median(column), f"worst {max(column):.3f}"
        text = f"objective ratio after {mark} epochs: {worst}, median {median:.5f} (goal {goal:g})"
        yield text + missed(median <= goal)
    for kind, goal in GAP_RATIO.items():
        smooth = kind == "smooth losses"
        same = [gaps for problem, *_, gaps, _ in results if (problem.loss in SMOOTH) == smooth]
        if same:
            best, own = np.clip(same, MIN_GAP, 1e300)[:, :, 1].T
            mean = np.exp(np.mean(np.log(own / best)))
            text = f"geometric mean of the gaps' ratio after {MARKS[1]}, {kind}"
            text += f" ({len(same)} problems): {mean:.3g} (goal {goal:g})"
            yield text + missed(mean <= goal)
    for name in results[0][-1]:
        gaps = [passes[name] for *_, passes in results if passes[name] is not None]
        if gaps:
            mean, worst = np.mean(gaps), max(gaps)
            reached = missed(mean <= PASS_MEAN and worst <= PASS_WORST)
            goal = f" (goals {PASS_MEAN:g}, {PASS_WORST:g}){reached}" if name == "fastgd" else ""
            text = f"gap after one pass, {name} ({len(gaps)} problems)"
            yield f"{text}: mean {mean:.3g}, worst {worst:.3g}{goal}"
