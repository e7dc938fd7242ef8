"""Estimators that choose a penalty: scorers and metadata routing, as in scikit-learn."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)

from fastgd.estimators.chunked_data import SELECTION_OF_CHUNKS, check_in_memory
from fastgd.estimators.diagnostics import warn
from fastgd.estimators.ridge_search import RidgeSearch, checked_alphas

if TYPE_CHECKING:
    from fastgd.problem.array_types import Array


class SelectsAlpha:
    """Base of models with parameters `alphas`, `cv` and `scoring`.

    A subclass defines ``_checked(X, y, sample_weight)``, which returns `Samples` and the number of
    outputs.
    """

    # a number; with `alpha_per_target` an array
    alpha_: Any
    best_score_: Any
    cv_results_: Array

    # The fit of all rows has no parameters of its own. Nearly always it is solved exactly; this is
    # the accuracy of the rest, of which six digits of the coefficients are asked.
    tol = 1e-10

    def _select(self, X, y, sample_weight, params):
        """`fit`"""
        _raise_for_params(params, self, "fit")
        check_in_memory(self, X, SELECTION_OF_CHUNKS)
        fit_callbacks = self._fit_callbacks(X, y, sample_weight)
        alphas = checked_alphas(self.alphas, self.cv is not None)
        data, outputs = self._checked(X, y, sample_weight)
        # Those of classes are weights, too.
        weights = sample_weight if data.weights is None else data.weights
        if weights is not None:
            params = params | {"sample_weight": weights}
        score_params, split_params = {}, {}
        if _routing_enabled():
            routed = process_routing(self, "fit", **params)
            score_params, split_params = routed.scorer.score, routed.splitter.split
        elif weights is not None and self._scores_by_weight():
            score_params = {"sample_weight": weights}
        search = RidgeSearch(self, data, outputs, alphas, (X, y), score_params, split_params)
        vars(self).pop("cv_results_", None)
        return search.run(fit_callbacks)

    def _scores_by_weight(self):
        """Whether the scorer takes weights; warns if it does not."""
        scorer = self._get_scorer()
        if self.scoring is None:
            return True
        if hasattr(scorer, "_accept_sample_weight"):
            accepts = scorer._accept_sample_weight()
        else:
            accepts = "sample_weight" in signature(scorer).parameters
        if not accepts:
            warn(
                f"The scoring {scorer} does not support sample_weight, which may lead to "
                f"statistically incorrect results when fitting {self} with sample_weight. ",
                UserWarning,
            )
        return accepts

    def get_metadata_routing(self) -> MetadataRouter:
        """Metadata routing: of ``sample_weight`` to the scorer, and of ``groups`` to the splitter.

        Returns
        -------
        routing : MetadataRouter
            scikit-learn's record of who is given what.
        """
        to_score = MethodMapping().add(caller="fit", callee="score")
        to_split = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router = router.add(scorer=self._get_scorer(), method_mapping=to_score)
        return router.add(splitter=self.cv, method_mapping=to_split)

    def _get_scorer(self):
        """The scorer, which with metadata routing takes weights unless the user has chosen it."""
        if _routing_enabled() and self.scoring is None:
            name = "accuracy" if is_classifier(self) else "r2"
            return get_scorer(name).set_score_request(sample_weight=True)
        return check_scoring(estimator=self, scoring=self.scoring, allow_none=True)
