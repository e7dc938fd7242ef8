"""scikit-learn's side: the estimator contract, validation, parameters, and the fits."""
