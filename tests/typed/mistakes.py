"""What type checkers must refuse: `make types`. An ignored error that a checker does not find is an
error there. Nothing here is run.

mypy knows nothing of scikit-learn's base classes, so it allows unknown names of parameters and
attributes. pyright finds them.
"""

import numpy as np

from fastgd import Adam, Chunks, Constant, Lasso, LogisticRegression, Ridge, SGDRegressor, minimize

X = np.zeros((20, 3))
y = np.arange(20.0)


def parameters() -> None:
    Ridge(alpha="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Ridge(max_iter=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Ridge(solver="newton")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Ridge(strength=1.0)  # pyright: ignore[reportCallIssue]
    Ridge(1.0, True)  # pyright: ignore[reportCallIssue]
    Lasso(l1_ratio=0.5)  # pyright: ignore[reportCallIssue]
    SGDRegressor(class_weight="balanced")  # pyright: ignore[reportCallIssue]
    SGDRegressor(optimizer=Adam)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Adam(beta1="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Constant(rate=0.1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def methods() -> None:
    Ridge().fit()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Ridge().fit(X, y, check=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    LogisticRegression().predict(X, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    print(Ridge().fit(X, y).offset_)  # pyright: ignore
    Chunks(X, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    minimize("f", [1.0])  # pyright: ignore[reportArgumentType]
