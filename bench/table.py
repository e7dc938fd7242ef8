"""A result as lines of the table; whatever fastgd loses or misses is marked."""

HEADER = (f"    {'peer':<16}{'median':>12}{'minimum':>12}{'runs':>6}{'objective':>14}  {'peak over X':<28}"
          f"{'of the limit':<26}peer / fastgd")  # fmt: skip


def lines(result):
    yield f"{result['problem']}  ({_conditions(result)}ms per {result['unit']})"
    for name, entry in result["peers"].items():
        objective = f"{entry['objective']:14.8f}" if "objective" in entry else " " * 14
        yield (f"    {name:<16}{1e3 * entry['median']:12.3f}{1e3 * entry['minimum']:12.3f}{len(entry['runs']):6d}{objective}"
               f"  {_memory(name, entry, result):<28}{_limit(entry):<26}{_verdict(entry)}").rstrip()  # fmt: skip
    if result.get("unsupported"):
        yield "    not here: " + "; ".join(f"{name} {reason}" for name, reason in result["unsupported"].items())


def _conditions(result):
    parts = []
    if "rows" in result:
        parts.append(f"{result['rows']} x {result['columns']} {result['dtype']}{' CSR' if result['sparse'] else ''}")
    if "shuffle" in result:
        parts.append("shuffled" if result["shuffle"] else "in order")
    if "threads" in result:
        parts.append("1 thread" if result["threads"] == 1 else f"{result['threads']} threads")
    return "".join(f"{part}, " for part in parts)


def _memory(name, entry, result):
    if "memory" not in entry:
        return ""
    text = f"{entry['memory'] / 2**20:8.1f} MB"
    if name != "fastgd":
        return text
    over = " ABOVE" if entry["memory"] > result["memory_limit"] else ""
    return f"{text} (limit {result['memory_limit'] / 2**20:.1f}){over}"


def _limit(entry):
    if "limit" not in entry:
        return ""
    limit = entry["limit"]
    text = f"{limit['fraction']:4.0%} {limit['of']}"
    return text if "goal" not in limit else f"{text} (goal {limit['goal']:.0%})"


def _verdict(entry):
    if "over_ms" in entry:
        return f"{entry['over_ms']:+8.1f} ms (goal at most {entry['goal_ms']:g})" + missed(entry)
    if entry["median"] <= 0:
        return "too short to be timed as a difference of two fits"
    if "ratio" not in entry:
        return missed(entry)
    goal = f" (goal {entry['goal']:g}x)" if "goal" in entry else ""
    bits = {None: "", True: "  same bits", False: "  OTHER BITS"}[entry.get("same_bits")]
    return f"{entry['ratio']:8.2f}x{goal}{bits}{missed(entry)}"


def missed(entry):
    """What to say of an entry that fastgd loses, or whose goal it misses; empty where all is well."""
    marks = ["FASTGD LOSES"] if entry.get("ratio", 1) < 1 else []
    limit = entry.get("limit", {})
    pairs = [(entry.get("ratio"), entry.get("goal")), (limit.get("fraction"), limit.get("goal")),
             (entry.get("goal_ms"), entry.get("over_ms"))]  # fmt: skip
    if any(got < wanted for got, wanted in pairs if got is not None and wanted is not None):
        marks.append("goal missed")
    return "".join(f"  {mark}" for mark in marks)


def summary(results):
    """How many comparisons fastgd loses and how many goals it misses, each by name."""
    entries = [(f"{result['problem']} / {name}", entry) for result in results for name, entry in result["peers"].items()]
    compared = [(label, entry["ratio"]) for label, entry in entries if "ratio" in entry]
    lost = [f"{label} {ratio:.2f}x" for label, ratio in compared if ratio < 1]
    wanted = [label for label, entry in entries if "goal" in entry or "goal_ms" in entry or "goal" in entry.get("limit", {})]
    short = [label for label, entry in entries if "goal missed" in missed(entry)]
    yield f"fastgd loses {len(lost)} of {len(compared)} comparisons" + (": " + "; ".join(lost) if lost else "")
    yield f"it misses {len(short)} of {len(wanted)} goals" + (": " + "; ".join(short) if short else "")
