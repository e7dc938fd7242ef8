"""Models that move to and from scikit-learn: which class there predicts the same, and what it
stores.
"""

import pickle
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from io import BytesIO
from types import FunctionType, GeneratorType, ModuleType

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import (
    InvalidParameterError,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _is_fitted, check_is_fitted

from fastgd.methods.sgd import State
from fastgd.problem.layout import pack
from fastgd.problem.losses import kind_of
from fastgd.problem.records import Record

# What every twin stores, if the model has it.
OF_ALL = ("n_features_in_", "feature_names_in_", "classes_")


class Twin(Record):
    """The class of scikit-learn with the predictions of a fastgd class of the same name.

    `learnt` are the attributes that both store. `to_sklearn(model, twin)` stores what only
    scikit-learn's class has, `from_sklearn(twin, model)` what only fastgd's class has.
    """

    module: str
    learnt: str = "coef_ intercept_ n_iter_"
    to_sklearn: Callable = None
    from_sklearn: Callable = None


# ---- what only one of the two stores ----


def output_count(model):
    """The number of rows of `coef_`, which may be sparse; 1 for networks."""
    shape = np.shape(getattr(model, "coef_", 0))
    return shape[0] if len(shape) == 2 else 1


def _export_n_iter_of_outputs(model, twin):
    """scikit-learn counts the iterations of each class or target."""
    twin.n_iter_ = np.full(output_count(model), model.n_iter_, dtype=np.int32)


def _import_n_iter(twin, model):
    counts = [count for count in np.ravel(twin.n_iter_) if count is not None]
    model.n_iter_ = int(max(counts, default=1))


def _export_joint_n_iter(model, twin):
    if np.ndim(model.n_iter_) == 0:
        twin.n_iter_ = np.array([model.n_iter_], dtype=np.int32)


def _export_n_iter_list(model, twin):
    if output_count(model) > 1:
        twin.n_iter_ = [model.n_iter_] * output_count(model)


def _export_averages(model, twin):
    """scikit-learn's `partial_fit` of an average continues both the average and the iterate."""
    twin.t_ = float(twin.t_)
    if twin.average:
        coef = twin.coef_.toarray() if sparse.issparse(twin.coef_) else twin.coef_
        intercept = 1 - twin.offset_ if hasattr(twin, "offset_") else twin.intercept_
        twin._standard_coef, twin._average_coef = coef.copy(), coef.copy()
        twin._standard_intercept, twin._average_intercept = intercept.copy(), intercept.copy()


def _import_step_number(twin, model):
    """With a chosen rate `partial_fit` continues the schedule."""
    model.t_ = int(twin.t_)
    coef = model.coef_.toarray() if sparse.issparse(model.coef_) else model.coef_
    coef = np.atleast_2d(coef)
    intercept = np.broadcast_to(model.intercept_, len(coef)).astype(coef.dtype)
    model._state = State(pack(coef, intercept, coef.dtype, False), None, None, t=model.t_)


def _export_binarizer(model, twin):
    twin._label_binarizer = deepcopy(model._binarizer)
    if hasattr(twin, "n_iter_"):
        _export_n_iter_of_outputs(model, twin)


def _import_binarizer(twin, model):
    model._binarizer = deepcopy(twin._label_binarizer)
    model._has_many_labels = model._binarizer.y_type_.startswith("multilabel")
    model.classes_ = model._binarizer.classes_
    if hasattr(twin, "n_iter_"):
        _import_n_iter(twin, model)


def _export_deviance(model, twin):
    twin._base_loss = twin._get_loss()


def _export_labels(model, twin):
    """What scikit-learn's networks convert labels with, and what a fit continues."""
    twin._no_improvement_count = 0
    if model._several_labels:
        labels = len(model.classes_)
        y = np.stack([np.zeros(labels, dtype=int), np.ones(labels, dtype=int)])
    else:
        y = model.classes_
    twin._label_binarizer = LabelBinarizer().fit(y)


def _import_labels(twin, model):
    model._several_labels = twin._label_binarizer.y_type_.startswith("multilabel")
    model.alpha_ = float(twin.alpha)


def _export_values(model, twin):
    twin._no_improvement_count = 0


def _import_values(twin, model):
    model._count, model.alpha_ = twin.n_outputs_, float(twin.alpha)


_SGD = "coef_ intercept_ n_iter_ t_"
_NETWORK = (
    "coefs_ intercepts_ n_iter_ t_ n_layers_ n_outputs_ out_activation_ loss_ loss_curve_ "
    "best_loss_ validation_scores_ best_validation_score_"
)
_PATH = "coef_ intercept_ n_iter_ dual_gap_ alpha_ alphas_ mse_path_"
_LOGISTIC_PATH = "coef_ intercept_ n_iter_ C_ Cs_ l1_ratio_ l1_ratios_ scores_ coefs_paths_"
_RIDGE_PATH = "coef_ intercept_ alpha_ best_score_ cv_results_"

# The classes that both libraries have, by their name.
TWINS = {
    "SGDClassifier": Twin("linear_model", _SGD, _export_averages, _import_step_number),
    "SGDRegressor": Twin("linear_model", _SGD, _export_averages, _import_step_number),
    "SGDOneClassSVM": Twin(
        "linear_model", "coef_ offset_ n_iter_ t_", _export_averages, _import_step_number
    ),
    "Perceptron": Twin("linear_model", _SGD, _export_averages, _import_step_number),
    "LinearRegression": Twin("linear_model", "coef_ intercept_"),
    "Ridge": Twin(
        "linear_model", to_sklearn=_export_n_iter_of_outputs, from_sklearn=_import_n_iter
    ),
    "Lasso": Twin(
        "linear_model", "coef_ intercept_ n_iter_ dual_gap_", _export_n_iter_list, _import_n_iter
    ),
    "ElasticNet": Twin(
        "linear_model", "coef_ intercept_ n_iter_ dual_gap_", _export_n_iter_list, _import_n_iter
    ),
    "LogisticRegression": Twin(
        "linear_model", to_sklearn=_export_joint_n_iter, from_sklearn=_import_n_iter
    ),
    "LinearSVC": Twin("svm"),
    "LinearSVR": Twin("svm"),
    "HuberRegressor": Twin("linear_model", "coef_ intercept_ n_iter_ scale_ outliers_"),
    "QuantileRegressor": Twin("linear_model"),
    "RidgeClassifier": Twin(
        "linear_model", to_sklearn=_export_binarizer, from_sklearn=_import_binarizer
    ),
    "RidgeCV": Twin("linear_model", _RIDGE_PATH),
    "RidgeClassifierCV": Twin("linear_model", _RIDGE_PATH, _export_binarizer, _import_binarizer),
    "LassoCV": Twin("linear_model", _PATH),
    "ElasticNetCV": Twin("linear_model", f"{_PATH} l1_ratio_"),
    "LogisticRegressionCV": Twin("linear_model", _LOGISTIC_PATH),
    "PoissonRegressor": Twin("linear_model", to_sklearn=_export_deviance),
    "GammaRegressor": Twin("linear_model", to_sklearn=_export_deviance),
    "TweedieRegressor": Twin("linear_model", to_sklearn=_export_deviance),
    "MLPClassifier": Twin("neural_network", _NETWORK, _export_labels, _import_labels),
    "MLPRegressor": Twin("neural_network", _NETWORK, _export_values, _import_values),
}


def sklearn_class(name):
    """scikit-learn's class of this name, which is imported only here."""
    return getattr(import_module(f"sklearn.{TWINS[name].module}"), name)


# ---- to scikit-learn ----


def fastgd_name(model):
    """The name of fastgd's class of a model, which may be a subclass of it."""
    return next(
        kind.__name__
        for kind in type(model).__mro__
        if kind.__module__.startswith("fastgd.") and not kind.__name__.startswith("_")
    )


def twin_name(model):
    """The name of scikit-learn's class with the predictions of a fitted model."""
    name = fastgd_name(model)
    if name not in TWINS:
        raise TypeError(f"{name} has no twin: scikit-learn has no recommender")
    if name == "SGDClassifier" and model.loss == "softmax":
        return "LogisticRegression"
    if name.startswith("MLP"):
        _check_activation(model)
    if name not in ("SGDRegressor", "LinearSVR"):
        return name
    loss, has_many = kind_of(model.loss), np.ndim(getattr(model, "coef_", 0.0)) == 2
    if loss.has_log_link and has_many:
        raise ValueError(
            f"{name}(loss={model.loss!r}) of several targets has no twin: scikit-learn's "
            "PoissonRegressor has one target. Fit a model of each target."
        )
    if loss.has_log_link:
        return "PoissonRegressor"
    # A linear function of X, which no loss of scikit-learn's class of this name describes.
    if has_many or not isinstance(model.loss, str):
        return "LinearRegression"
    return "QuantileRegressor" if model.loss == "quantile" else name


def _check_activation(model):
    from sklearn.neural_network._base import ACTIVATIONS

    known = sorted(set(ACTIVATIONS) - {"softmax", "exp"})
    if model.activation not in known:
        raise ValueError(
            f"activation={model.activation!r} has no twin: scikit-learn's networks have "
            f"{', '.join(map(repr, known))}"
        )


def is_valid(kind, name, value):
    """Whether a class of scikit-learn allows this value of a parameter."""
    constraints = {name: kind._parameter_constraints[name]}
    try:
        validate_parameter_constraints(constraints, {name: value}, caller_name=kind.__name__)
    except InvalidParameterError:
        return False
    return True


def shared_parameters(model, kind):
    """The parameters of a model that a class of scikit-learn knows and allows."""
    own, given, others = fastgd_name(model), model.get_params(deep=False), {}
    if kind.__name__ != own and "penalty" in given:
        # `alpha` is the strength of the penalty that is chosen by `penalty`.
        of_class = {"PoissonRegressor": "l2", "QuantileRegressor": "l1"}.get(kind.__name__)
        others = {"alpha": given["alpha"] if given["penalty"] == of_class else 0.0}
        # The strength of LogisticRegression is relative to the weight of all rows.
        others |= {"penalty": None, "l1_ratio": None}
    given |= others
    names = [name for name in kind._get_param_names() if name in given]
    return {
        name: clone(given[name], safe=False)
        for name in names
        if is_valid(kind, name, given[name]) and not (name in others and given[name] is None)
    }


def _logistic_solver(parameters, outputs):
    """The solver of a logistic regression, or 'saga', which takes every penalty, or 'lbfgs'."""
    solver, penalty = parameters.get("solver", "lbfgs"), parameters.get("penalty", "deprecated")
    ratios = {parameters.get("l1_ratio", 0.0), *np.ravel(parameters.get("l1_ratios", 0.0)).tolist()}
    ratios -= {"warn", None, 0}
    is_l1 = bool(ratios) or penalty in ("l1", "elasticnet")
    if solver == "liblinear":
        is_mixed = not ratios <= {1} or penalty == "elasticnet"
        is_penalised = penalty is not None and np.isfinite(parameters.get("C", 1.0))
        if outputs == 1 and is_penalised and not is_mixed:
            return solver
        return "saga" if is_l1 else "lbfgs"
    return "saga" if is_l1 else solver


def with_valid_solver(parameters, kind, outputs):
    """The parameters with a solver that scikit-learn's `fit` accepts for them: fastgd accepts every
    solver, and uses none of them.
    """
    name, solver = kind.__name__, parameters.get("solver")
    if name.startswith("LogisticRegression"):
        parameters["solver"] = solver = _logistic_solver(parameters, outputs)
        if parameters.get("dual") and solver != "liblinear":
            parameters["dual"] = False
    elif name.startswith("Ridge") and parameters.get("positive"):
        parameters["solver"] = "auto"
    elif name == "QuantileRegressor" and not str(solver).startswith("highs"):
        parameters.pop("solver", None)
        parameters.pop("solver_options", None)
    elif name in ("LinearSVC", "LinearSVR"):
        kinked = parameters["loss"] in ("hinge", "epsilon_insensitive")
        is_refused = not parameters["dual"] if kinked else parameters.get("penalty") == "l1"
        if is_refused:
            parameters["dual"] = "auto"
    return parameters


def to_sklearn(model):
    """scikit-learn's fitted estimator with the predictions of a fitted model."""
    if fastgd_name(model) in TWINS:
        check_is_fitted(model)
    name = twin_name(model)
    kind, entry = sklearn_class(name), TWINS[name]
    parameters = with_valid_solver(shared_parameters(model, kind), kind, output_count(model))
    twin = kind(**parameters)
    for attribute in (*OF_ALL, *entry.learnt.split()):
        if hasattr(model, attribute):
            copy_attribute(twin, attribute, getattr(model, attribute))
    if not isinstance(twin, SparseCoefMixin) and sparse.issparse(getattr(twin, "coef_", None)):
        twin.coef_ = twin.coef_.toarray()
    if name in ("PoissonRegressor", "QuantileRegressor") and np.ndim(twin.intercept_):
        twin.intercept_ = twin.intercept_[0]
    if entry.to_sklearn:
        entry.to_sklearn(model, twin)
    return twin


def search_to_sklearn(search):
    """scikit-learn's fitted search with the results of a fitted one."""
    check_is_fitted(search)
    if not search.refit:
        raise ValueError("refit=False keeps no fitted model that could be moved")
    twin = GridSearchCV.__new__(GridSearchCV)
    vars(twin).update(_moved(vars(search)))
    return twin


def _moved(value):
    """A copy in which twins are in the place of fastgd's models, wherever they are."""
    file = BytesIO()
    mover = _Mover(file, protocol=5)
    mover.dump(value)
    loader = pickle.Unpickler(BytesIO(file.getvalue()))
    loader.persistent_load = mover.kept.__getitem__
    return loader.load()


class _Mover(pickle.Pickler):
    """Writes twins in the place of fastgd's models; functions and generators are `kept`."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.kept = []

    def persistent_id(self, value):
        """The number of an object that is shared with the copy."""
        if not isinstance(value, FunctionType | GeneratorType | ModuleType):
            return None
        self.kept.append(value)
        return len(self.kept) - 1

    def reducer_override(self, value):
        """How an object is written."""
        if not hasattr(type(value), "to_sklearn"):
            return NotImplemented
        return _itself, (value.to_sklearn() if _is_fitted(value) else _unfitted_twin(value),)


def _itself(value):
    return value


def _unfitted_twin(model):
    if isinstance(model, GridSearchCV):
        return GridSearchCV(**_moved(model.get_params(deep=False)))
    kind = sklearn_class(twin_name(model))
    return kind(**with_valid_solver(shared_parameters(model, kind), kind, 1))


def copy_attribute(estimator, attribute, value):
    """Store a copy; a read-only property computes its value itself."""
    known = getattr(type(estimator), attribute, None)
    if not (isinstance(known, property) and known.fset is None):
        setattr(estimator, attribute, deepcopy(value))


# ---- from scikit-learn ----


def sklearn_name(estimator):
    """The name of an estimator of scikit-learn that fastgd has too."""
    kinds = type(estimator).__mro__
    if any(kind.__module__.startswith("fastgd.") for kind in kinds):
        raise TypeError(f"{type(estimator).__name__} is fastgd's already")
    name = next((k.__name__ for k in kinds if k.__module__.startswith("sklearn.")), None)
    if name not in TWINS:
        hint = ""
        if name == "Pipeline":
            hint = " Replace its steps: pipeline.set_params(name=from_sklearn(pipeline['name']))."
        elif name and name.endswith("SearchCV"):
            hint = " Move its best_estimator_."
        raise TypeError(
            f"{type(estimator).__name__} has no twin in fastgd.{hint} There are twins of "
            f"{', '.join(TWINS)}."
        )
    return name


def from_sklearn(estimator, kind):
    """The estimator of fastgd's class `kind` with the parameters and the coefficients of one of
    scikit-learn.
    """
    parameters = estimator.get_params(deep=False)
    model = kind().set_params(**{name: clone(v, safe=False) for name, v in parameters.items()})
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return model
    entry = TWINS[sklearn_name(estimator)]
    for attribute in (*OF_ALL, *entry.learnt.split()):
        if hasattr(estimator, attribute):
            copy_attribute(model, attribute, getattr(estimator, attribute))
    if entry.from_sklearn:
        entry.from_sklearn(estimator, model)
    return model
