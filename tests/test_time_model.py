"""The benchmark's model of the time of a fit on a cluster."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
cluster = pytest.importorskip("bench.cluster", reason="the benchmark is not part of the package")

MODEL = cluster.TimeModel(a=0.04, b=4e-4, c=8e-4, x=5e-7, m=4e-7)


def measured(factor=1.0):
    """A measurement whose times are the model's, those of two workers times a factor."""

    def fit(rows, workers):
        taken = MODEL.seconds(rows, workers, 11) * (factor if workers == 2 else 1.0)
        return cluster.Fit(rows, workers, 11, 129 * rows, [taken] * cluster.TURNS)

    small = [fit(rows, workers) for rows in cluster.SMALL for workers in cluster.WORKERS]
    large = [fit(cluster.LARGE, workers) for workers in cluster.WORKERS]
    latencies = {workers: MODEL.b + MODEL.c * workers for workers in cluster.LATENCY_WORKERS}
    return cluster.Measurement(latencies, small, large, others=0.0)


def test_exact_times_give_the_constants():
    found = measured()
    assert vars(found.model) == pytest.approx(vars(MODEL))
    assert found.row_bytes == pytest.approx(129)
    for fit in found.large:
        predicted, (low, high) = found.predictions(fit)
        assert predicted == pytest.approx(fit.times[0])
        assert low == pytest.approx(high)


def test_no_constant_is_negative():
    assert min(vars(measured(factor=1.5).model).values()) >= 0
