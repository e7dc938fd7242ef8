"""The contract that feed-forward networks share: scikit-learn's, with one way from parameters and
data to a training run.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Literal

import numpy as np
from sklearn.utils._param_validation import Options
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators import types
from fastgd.estimators.base import Model
from fastgd.estimators.network_fit import NetworkFit
from fastgd.kernels import network
from fastgd.methods.mlp import Architecture
from fastgd.methods.network_units import pack
from fastgd.methods.schedules import Schedule
from fastgd.problem.data import as_rows, distinct_columns
from fastgd.training.blas import one_blas_thread

# Predictions of at most this number of rows have products too short for several BLAS threads.
MAX_ROWS_OF_SHORT_PRODUCTS = 256


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralNetwork(Model):
    """Feed-forward networks trained by gradient descent.

    A subclass converts y to the kernels' targets, defines loss and output activation, and predicts.
    """

    solver: Literal["auto", "lbfgs", "sgd", "adam", "adamw"] = "auto"
    alpha: types.NonNegative | Literal["auto"] = "auto"
    batch_size: Literal["auto", "full"] | types.AtLeast1 = "auto"
    learning_rate: Literal["constant", "invscaling", "adaptive"] | Schedule = "constant"
    learning_rate_init: types.Positive = 0.001
    power_t: types.NonNegative = 0.5
    max_iter: types.AtLeast1 = 200
    shuffle: bool = True
    random_state: types.Seed = None
    tol: types.NonNegative | None = 1e-4
    verbose: types.Verbosity = False
    warm_start: bool = False
    momentum: types.Decay = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: types.Fraction = 0.1
    beta_1: types.Decay = 0.9
    beta_2: types.Decay = 0.999
    epsilon: types.Positive = 1e-8
    n_iter_no_change: types.AtLeast1 | Annotated[float, Options(Real, {np.inf})] = 10
    max_fun: types.AtLeast1 = 15000
    dropout: types.Decay = 0.0
    max_seconds: types.Positive | None = None

    # ---- training ----

    def _architecture(self):
        """The hidden layers."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
        if not whole or any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, and whole numbers; got {sizes}.")
        hidden = tuple(int(size) for size in sizes)
        return Architecture(hidden, self.activation, float(self.dropout))

    def _train(self, *data, **others):
        """Train on checked data and store the model; the arguments are those of a `NetworkFit`."""
        return NetworkFit(self, *data, **others).run()

    def _store(self, coefs, intercepts):
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _learnt(self):
        """The learnt parameters."""
        return *self.coefs_, *self.intercepts_

    # ---- prediction ----

    def _packed(self, dtype):
        """(flat vector, widths) of the fitted layers."""
        widths = np.array([W.shape[0] for W in self.coefs_] + [self.coefs_[-1].shape[1]])
        return pack(self.coefs_, self.intercepts_, dtype), widths

    def _margins(self, X):
        """The last layer's Z for the rows of X, (n, outputs)."""
        check_is_fitted(self)
        rows = as_rows(distinct_columns(self._check_X(X, reset=False)))
        theta, widths = self._packed(rows.dtype)
        out = np.empty(rows.shape[0] * widths[-1], rows.dtype)
        with one_blas_thread() if rows.shape[0] > MAX_ROWS_OF_SHORT_PRODUCTS else nullcontext():
            layers = self._architecture().network(widths)
            network.margins(rows, np.arange(rows.shape[0]), theta, None, out, layers)
        return out.reshape(-1, widths[-1])
