"""Batch, stochastic and mini-batch gradient descent for linear models, with compiled kernels.

A public name is imported on first use (PEP 562), so that ``import fastgd`` takes a millisecond.
"""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # for editors and type checkers, to which `as` says that a name is public
    from .callbacks import Checkpoint as Checkpoint
    from .exchange import from_sklearn as from_sklearn
    from .glm import (
        GammaRegressor as GammaRegressor,
        PoissonRegressor as PoissonRegressor,
        TweedieRegressor as TweedieRegressor,
    )
    from .lasso import (
        ElasticNetCV as ElasticNetCV,
        LassoCV as LassoCV,
        enet_path as enet_path,
        lasso_path as lasso_path,
    )
    from .linear import (
        ElasticNet as ElasticNet,
        Lasso as Lasso,
        LinearRegression as LinearRegression,
        LinearSVC as LinearSVC,
        LinearSVR as LinearSVR,
        LogisticRegression as LogisticRegression,
        Ridge as Ridge,
    )
    from .methods.optimizers import (
        SGD as SGD,
        AdaGrad as AdaGrad,
        Adam as Adam,
        AdamW as AdamW,
        GradientNoise as GradientNoise,
        Momentum as Momentum,
        Nesterov as Nesterov,
        RMSProp as RMSProp,
    )
    from .methods.schedules import (
        Adaptive as Adaptive,
        Constant as Constant,
        CosineDecay as CosineDecay,
        InverseScaling as InverseScaling,
        OneCycle as OneCycle,
        Optimal as Optimal,
        StepDecay as StepDecay,
    )
    from .model_selection import (
        GridSearchCV as GridSearchCV,
        LogisticRegressionCV as LogisticRegressionCV,
        logistic_path as logistic_path,
    )
    from .neural_network import MLPClassifier as MLPClassifier, MLPRegressor as MLPRegressor
    from .optimize import (
        adagrad as adagrad,
        adam as adam,
        adamw as adamw,
        auto as auto,
        check_gradient as check_gradient,
        gd as gd,
        minimize as minimize,
        momentum as momentum,
        nesterov as nesterov,
        prodigy as prodigy,
        rmsprop as rmsprop,
    )
    from .plots import (
        CoefficientPathDisplay as CoefficientPathDisplay,
        DescentPathDisplay as DescentPathDisplay,
        LearningRateDisplay as LearningRateDisplay,
        LossCurveDisplay as LossCurveDisplay,
    )
    from .problem.chunks import Chunks as Chunks
    from .rates import learning_rate_range as learning_rate_range
    from .recommender import (
        MatrixFactorization as MatrixFactorization,
        ndcg_at_k as ndcg_at_k,
        precision_at_k as precision_at_k,
    )
    from .ridge import (
        RidgeClassifier as RidgeClassifier,
        RidgeClassifierCV as RidgeClassifierCV,
        RidgeCV as RidgeCV,
        ridge_path as ridge_path,
    )
    from .robust import (
        HuberRegressor as HuberRegressor,
        QuantileRegressor as QuantileRegressor,
    )
    from .sgd import (
        Perceptron as Perceptron,
        SGDClassifier as SGDClassifier,
        SGDOneClassSVM as SGDOneClassSVM,
        SGDRegressor as SGDRegressor,
    )

# The public names of each module.
_NAMES = {
    "sgd": "SGDClassifier SGDRegressor SGDOneClassSVM Perceptron",
    "linear": "LinearRegression Ridge Lasso ElasticNet LogisticRegression LinearSVC LinearSVR",
    "robust": "HuberRegressor QuantileRegressor",
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
if not TYPE_CHECKING:  # type checkers read no computed list, and take all public names
    __all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__():
    return sorted(__all__)
