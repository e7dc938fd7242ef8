"""Spark ML's logistic regression on cores of this machine, its data cached."""

import atexit

import numpy as np
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

from bench import peers

OPTIONS = {
    "spark.driver.memory": "6g",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


class OnFrame:
    """A model of Spark ML that is fitted to `frame`, whatever `fit` is given."""

    def __init__(self, model, frame):
        self._model, self._frame = model, frame

    def fit(self, X, y):
        fitted = self._model.fit(self._frame)
        self.coef_, self.intercept_ = fitted.coefficients.toArray(), fitted.intercept
        return self


def cluster(problem, X, y, workers):
    frame = cached_frame(X.compute(), y.compute(), workers)
    own = {"regParam": problem.alpha, "elasticNetParam": problem.l1_ratio}
    own |= {"fitIntercept": problem.intercept, "standardization": False, "tol": 1e-15}

    def make(count):
        return OnFrame(LogisticRegression(maxIter=count, **own), frame)

    return [peers.Setting(f"local[{workers}]", make, peers.ITERATIONS)]


def cached_frame(X, y, workers):
    """One partition a worker, in memory."""
    builder = SparkSession.builder.master(f"local[{workers}]")
    for name, value in OPTIONS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    atexit.register(session.stop)
    plain = session.createDataFrame(np.column_stack([X, y]))
    *columns, target = plain.columns
    vectors = VectorAssembler(inputCols=columns, outputCol="features").transform(plain)
    frame = vectors.select("features", vectors[target].alias("label")).coalesce(workers).cache()
    frame.count()
    return frame
