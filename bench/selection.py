"""`python -m bench selection`: choosing a model, beside scikit-learn and others.

    ridge      RidgeCV and RidgeClassifierCV: folds and leave-one-out; GridSearchCV over Ridge
    lasso      LassoCV and ElasticNetCV; GridSearchCV over Lasso and ElasticNet
    logistic   LogisticRegressionCV, GridSearchCV over LogisticRegression, and 100 fits beside one
    glm        generalised linear models, Huber's and quantile regression: the time to a given gap

Fits are interleaved; see the modules of the parts for what is measured.
"""

from bench import glm, lasso_cv, logistic_cv, report, ridge_cv

PARTS = {
    "ridge": ridge_cv.compare_ridge,
    "lasso": lasso_cv.compare_lasso,
    "logistic": logistic_cv.compare_logistic,
    "glm": glm.compare_glm,
}


def main(arguments):
    return report.parts("selection", __doc__, PARTS, arguments)
