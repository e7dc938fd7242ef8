"""What follows from several results together: how much of a ratio is kept, how time grows with the data."""

from fnmatch import fnmatch

# problems that must keep a part of another's ratio to a peer: (problem, the other, peer, part)
KEPT = [(f"sgd-sparse-{name}", "sgd-sparse", "scikit-learn", 0.7) for name in ("l1", "elasticnet", "average")]
# problems that differ in size only: (pattern, most that the time of a nonzero may grow from the smallest to any other)
GROWTH = [("scale-sgd-dense-*", 1.3), ("scale-full-dense-*", 1.3), ("scale-sgd-sparse-*", 1.3)]


def lines(results):
    yield from _evaluations(results)
    for name, base, peer, part in KEPT:
        for result, other in _pairs(results, name, base, peer):
            kept = result["peers"][peer]["ratio"] / other["peers"][peer]["ratio"]
            yield f"{name} {_conditions(result)}: {kept:.2f} of {base}'s ratio to {peer} (goal {part:g}){_mark(kept >= part)}"
    for pattern, most in GROWTH:
        for case in dict.fromkeys(_case(result) for result in results if fnmatch(result["problem"], pattern)):
            same = [result for result in results if fnmatch(result["problem"], pattern) and _case(result) == case]
            costs = {result["bytes"]: _nanoseconds(result) for result in same if _measured(result)}
            if len(costs) > 1:
                text = ", ".join(f"{size / 1e9:.1f} GB {cost:.3f}" for size, cost in sorted(costs.items()))
                growth, label = max(costs.values()) / costs[min(costs)], _conditions(same[0])
                yield f"{pattern} {label}: ns a nonzero {text}; {growth:.2f}x (goal {most:g}x){_mark(growth <= most)}"


def _evaluations(results):
    """How many evaluations of a cost fastgd needs for a gradient as small as SciPy's."""
    for result in results:
        if "most_evaluations" in result:
            own, other = (result["peers"][name]["evaluations"] for name in ("fastgd", "scipy"))
            ratio, most = own / other, result["most_evaluations"]
            yield f"{result['problem']}: {own} evaluations, SciPy {other}; {ratio:.2f}x (goal {most:g}x){_mark(ratio <= most)}"


def _pairs(results, name, base, peer):
    """The results of `name`, each with that of `base` in the same order of the rows and with as many threads."""
    known = [result for result in results if "ratio" in result["peers"].get(peer, ())]
    for result in known:
        for other in known:
            if (result["problem"], other["problem"]) == (name, base) and _case(result) == _case(other):
                yield result, other


def _measured(result):
    return result["peers"].get("fastgd", {"median": 0})["median"] > 0


def _nanoseconds(result):
    return 1e9 * result["peers"]["fastgd"]["median"] / result["nonzeros"]


def _case(result):
    return result["shuffle"], result["threads"]


def _conditions(result):
    order = "shuffled" if result["shuffle"] else "in order"
    return f"{order}, {result['threads']} thread{'s' if result['threads'] > 1 else ''}"


def _mark(reached):
    return "" if reached else "  goal missed"
