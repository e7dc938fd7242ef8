"""Recommend movies: from MovieLens 100k if the package recbole is installed (pip install --no-deps
recbole), otherwise from synthetic ratings.

Run it by ``python examples/recommend_movies.py``.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold, cross_val_score, train_test_split

from fastgd import MatrixFactorization, ndcg_at_k, precision_at_k


def load():
    """Return ratings, with columns user, item and stars, and a dict of the items' titles."""
    package = find_spec("recbole")
    if package is None:
        return synthetic(), {}
    folder = Path(package.submodule_search_locations[0], "dataset_example", "ml-100k")
    ratings = np.loadtxt(folder / "ml-100k.inter", skiprows=1, usecols=(0, 1, 2))
    lines = (folder / "ml-100k.item").read_text().splitlines()[1:]
    return ratings, {int(line.split("\t")[0]): line.split("\t")[1] for line in lines}


def synthetic(users=500, items=400, rank=5):
    rng = np.random.default_rng(0)
    stars = (
        3.5
        + 0.4 * rng.standard_normal((users, rank)) @ rng.standard_normal((rank, items))
        + 0.5 * rng.standard_normal(items)
    )
    u, i = np.nonzero(rng.random(stars.shape) < 0.1)
    return np.column_stack(
        [u, i, np.clip(np.round(stars[u, i] + 0.5 * rng.standard_normal(len(u))), 1, 5)]
    )


def main():
    ratings, titles = load()
    print(f"{len(ratings)} ratings, {'MovieLens 100k' if titles else 'synthetic'}")

    # explicit ratings, default parameters
    model = MatrixFactorization(random_state=0)
    rmse = -cross_val_score(model, ratings, cv=KFold(5, shuffle=True, random_state=0))
    print(f"RMSE of five folds: {rmse.mean():.4f} ({', '.join(f'{one:.4f}' for one in rmse)})")

    # a new user
    model.fit(ratings)
    popular = np.unique(ratings[:, 1], return_counts=True)
    liked = popular[0][np.argsort(-popular[1])[:3]]
    for _ in range(10):
        model.partial_fit([("new user", item, 5.0) for item in liked])
    ids, scores = model.recommend(["new user"], 5)
    for number, score in zip(ids[0], scores[0], strict=True):
        print(f"  {score:5.2f}  {titles.get(number, number)}")
    alike, _ = model.similar_items(liked[:1], 5)
    print(
        f"Like {titles.get(int(liked[0]), int(liked[0]))}: "
        f"{', '.join(str(titles.get(one, one)) for one in alike[0])}"
    )

    # implicit feedback: a rating of 4 stars or more is a positive interaction
    train, test = train_test_split(ratings[ratings[:, 2] >= 4, :2], test_size=0.2, random_state=0)
    for loss in ("log_loss", "bpr"):
        ranking = MatrixFactorization(loss, random_state=0).fit(train)
        print(
            f"{loss:<9} NDCG@10 {ndcg_at_k(ranking, test):.3f}   precision@10 "
            f"{precision_at_k(ranking, test):.3f}"
        )


if __name__ == "__main__":
    main()
