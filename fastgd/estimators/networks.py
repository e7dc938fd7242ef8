"""The contract that feed-forward networks share: scikit-learn's, with one way from parameters and
data to a training run.
"""

from contextlib import nullcontext
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators.base import Model
from fastgd.estimators.network_fit import NetworkFit
from fastgd.kernels import network
from fastgd.methods.mlp import ACTIVATIONS, Architecture
from fastgd.methods.network_units import pack
from fastgd.methods.schedules import Schedule
from fastgd.problem.data import as_rows, distinct_columns
from fastgd.training.blas import one_blas_thread

# Predictions of at most this number of rows have products too short for several BLAS threads.
MAX_ROWS_OF_SHORT_PRODUCTS = 256

# The constraint of a number above 0.
POSITIVE = Interval(Real, 0, None, closed="neither")
# The constraints of the parameters.
NETWORK_CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions({"auto", "lbfgs", "sgd", "adam", "adamw"})],
    "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    "batch_size": [StrOptions({"auto", "full"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
    "learning_rate_init": [POSITIVE],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_seconds": [POSITIVE, None],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [POSITIVE],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
}


class NeuralNetwork(Model):
    """Feed-forward networks trained by gradient descent.

    A subclass converts y to the kernels' targets, defines loss and output activation, and computes
    predictions from margins (`_predict_from`).
    """

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
