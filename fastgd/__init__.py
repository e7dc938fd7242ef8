"""Batch, stochastic and mini-batch gradient descent for linear models, with compiled kernels.

Every public name is loaded when it is first used, so that ``import fastgd`` costs next to nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # the same names for editors and type checkers, which do not run __getattr__
    from .callbacks import Checkpoint
    from .linear import (
        ElasticNet,
        Lasso,
        LinearRegression,
        LinearSVC,
        LinearSVR,
        LogisticRegression,
        Ridge,
    )
    from .methods.optimizers import (
        SGD,
        AdaGrad,
        Adam,
        AdamW,
        GradientNoise,
        Momentum,
        Nesterov,
        RMSProp,
    )
    from .methods.schedules import (
        Adaptive,
        Constant,
        CosineDecay,
        InverseScaling,
        OneCycle,
        Optimal,
        StepDecay,
    )
    from .neural_network import MLPClassifier, MLPRegressor
    from .one_class import SGDOneClassSVM
    from .optimize import (
        adagrad,
        adam,
        adamw,
        auto,
        check_gradient,
        gd,
        minimize,
        momentum,
        nesterov,
        prodigy,
        rmsprop,
    )
    from .plots import (
        CoefficientPathDisplay,
        DescentPathDisplay,
        LearningRateDisplay,
        LossCurveDisplay,
    )
    from .rates import learning_rate_range
    from .recommender import MatrixFactorization, ndcg_at_k, precision_at_k
    from .sgd import SGDClassifier, SGDRegressor

_HOME = {
    "SGDClassifier": "sgd",
    "SGDRegressor": "sgd",
    "SGDOneClassSVM": "one_class",
    "LinearRegression": "linear",
    "Ridge": "linear",
    "Lasso": "linear",
    "ElasticNet": "linear",
    "LogisticRegression": "linear",
    "LinearSVC": "linear",
    "LinearSVR": "linear",
    "MLPClassifier": "neural_network",
    "MLPRegressor": "neural_network",
    "MatrixFactorization": "recommender",
    "ndcg_at_k": "recommender",
    "precision_at_k": "recommender",
    "minimize": "optimize",
    "check_gradient": "optimize",
    "auto": "optimize",
    "gd": "optimize",
    "momentum": "optimize",
    "nesterov": "optimize",
    "adagrad": "optimize",
    "rmsprop": "optimize",
    "adam": "optimize",
    "adamw": "optimize",
    "prodigy": "optimize",
    "LossCurveDisplay": "plots",
    "DescentPathDisplay": "plots",
    "CoefficientPathDisplay": "plots",
    "Checkpoint": "callbacks",
    "LearningRateDisplay": "plots",
    "learning_rate_range": "rates",
    "SGD": "methods.optimizers",
    "Momentum": "methods.optimizers",
    "Nesterov": "methods.optimizers",
    "AdaGrad": "methods.optimizers",
    "RMSProp": "methods.optimizers",
    "Adam": "methods.optimizers",
    "AdamW": "methods.optimizers",
    "GradientNoise": "methods.optimizers",
    "Constant": "methods.schedules",
    "InverseScaling": "methods.schedules",
    "Optimal": "methods.schedules",
    "Adaptive": "methods.schedules",
    "StepDecay": "methods.schedules",
    "CosineDecay": "methods.schedules",
    "OneCycle": "methods.schedules",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__():
    return sorted(__all__)
