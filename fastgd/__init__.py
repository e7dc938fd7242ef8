"""Batch, stochastic and mini-batch gradient descent for linear models, with compiled kernels.

A public name is imported on first use (PEP 562), so that ``import fastgd`` takes a millisecond.
"""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # the names for editors and type checkers, which do not run __getattr__
    from .callbacks import Checkpoint
    from .exchange import from_sklearn
    from .glm import GammaRegressor, PoissonRegressor, TweedieRegressor
    from .lasso import ElasticNetCV, LassoCV, enet_path, lasso_path
    from .linear import (
        ElasticNet,
        HuberRegressor,
        Lasso,
        LinearRegression,
        LinearSVC,
        LinearSVR,
        LogisticRegression,
        QuantileRegressor,
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
    from .model_selection import GridSearchCV, LogisticRegressionCV, logistic_path
    from .neural_network import MLPClassifier, MLPRegressor
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
    from .problem.chunks import Chunks
    from .rates import learning_rate_range
    from .recommender import MatrixFactorization, ndcg_at_k, precision_at_k
    from .ridge import RidgeClassifier, RidgeClassifierCV, RidgeCV, ridge_path
    from .sgd import Perceptron, SGDClassifier, SGDOneClassSVM, SGDRegressor

# The public names of each module.
_NAMES = {
    "sgd": "SGDClassifier SGDRegressor SGDOneClassSVM Perceptron",
    "linear": "LinearRegression Ridge Lasso ElasticNet LogisticRegression LinearSVC LinearSVR "
    "HuberRegressor QuantileRegressor",
    "ridge": "RidgeCV RidgeClassifier RidgeClassifierCV ridge_path",
    "lasso": "LassoCV ElasticNetCV lasso_path enet_path",
    "glm": "PoissonRegressor GammaRegressor TweedieRegressor",
    "model_selection": "GridSearchCV LogisticRegressionCV logistic_path",
    "neural_network": "MLPClassifier MLPRegressor",
    "recommender": "MatrixFactorization ndcg_at_k precision_at_k",
    "optimize": "minimize check_gradient auto gd momentum nesterov adagrad rmsprop adam adamw "
    "prodigy",
    "plots": "LossCurveDisplay DescentPathDisplay CoefficientPathDisplay LearningRateDisplay",
    "callbacks": "Checkpoint",
    "exchange": "from_sklearn",
    "problem.chunks": "Chunks",
    "rates": "learning_rate_range",
    "methods.optimizers": "SGD Momentum Nesterov AdaGrad RMSProp Adam AdamW GradientNoise",
    "methods.schedules": "Constant InverseScaling Optimal Adaptive StepDecay CosineDecay OneCycle",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__():
    return sorted(__all__)
