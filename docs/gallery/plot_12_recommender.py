"""
A recommender
=============

Users have rated some films; a recommender predicts their ratings of the others. Matrix
factorization gives every user u and every item i a vector of a few numbers, its *factors*, and a
bias, so that the scores agree with the known ratings,

.. math:: z_{ui} = p_u' q_i + b_u + c_i ,
   \\qquad J = \\frac{1}{n} \\sum_{(u, i)} \\Bigl[ \\tfrac{1}{2} (r_{ui} - z_{ui})^2
   + \\frac{\\mathtt{alpha}}{2} \\bigl( |p_u|^2 + |q_i|^2 + b_u^2 + c_i^2 \\bigr) \\Bigr] .

The parameters are the factors and the biases. A stochastic step uses a single rating, and changes
one user and one item.
"""

# %%
# Synthetic ratings
# -----------------
# There are 300 users and 60 films of three kinds. Every user prefers some kinds, which are not
# given to the model. It gets one rating in four, from one to five stars.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from fastgd import LossCurveDisplay, MatrixFactorization

rng = np.random.default_rng(0)
kinds = np.array(["western", "comedy", "horror"])
kind = np.arange(60) % 3
taste = rng.dirichlet([0.4, 0.4, 0.4], 300)  # of every user, for the three kinds
quality = 0.4 * rng.standard_normal(60)
stars = 1.7 + 3 * taste[:, kind] + quality
users, films = np.nonzero(rng.random(stars.shape) < 1 / 4)
noisy = stars[users, films] + 0.4 * rng.standard_normal(len(users))
ratings = np.column_stack([users, films, np.clip(np.round(noisy), 1, 5)])
train, test = train_test_split(ratings, test_size=0.2, random_state=0)
print(
    f"{len(train)} ratings to learn from, {len(test)} to be asked, {stars.size - len(ratings)} "
    "unknown"
)

# %%
# Training and validation loss
# ----------------------------
# The models have two factors, and one of two penalties. The solid line is the training cost
# including the penalty; the dashed line is the loss on held-out ratings. With the weak penalty the
# gap is wide: the model overfits the few ratings of each user.
fig, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", sharey=True)
for ax, alpha in zip(panels, [0.001, 0.1], strict=True):
    model = MatrixFactorization(
        n_factors=2,
        alpha=alpha,
        early_stopping=True,
        n_iter_no_change=100,
        max_iter=100,
        random_state=0,
    )
    LossCurveDisplay.from_estimator(model.fit(train), log_scale=False, ax=ax)
    ax.set_title(f"alpha = {alpha}")
    ax.label_outer()
plt.show()

# %%
# Predictions
# -----------
# The root mean squared error on the test ratings, in stars, beside that of simpler predictions.


def error(guess):
    return np.sqrt(np.mean((guess - test[:, 2]) ** 2))


model = MatrixFactorization(n_factors=2, max_iter=100, random_state=0).fit(train)
film_means = np.array([train[train[:, 1] == film, 2].mean() for film in range(60)])
print(f"mean of all ratings   {error(train[:, 2].mean()):.3f}")
print(f"mean of the film      {error(film_means[test[:, 1].astype(int)]):.3f}")
print(f"MatrixFactorization   {error(model.predict(test[:, :2])):.3f}")

names = [f"{kinds[k]} {number}" for number, k in enumerate(kind)]
for k, name in enumerate(kinds):
    fan = taste[:, k].argmax()
    recommended, _ = model.recommend([fan], 3)
    print(f"for a friend of {name:<9}{', '.join(names[int(film)] for film in recommended[0])}")

# %%
# The meaning of the factors
# --------------------------
# Left: the known ratings. Middle: the predictions. Right: the two factors of each film. The kinds,
# which are not in the data, form clusters: films that the same users like have similar factors.
known = np.full(stars.shape, np.nan)
known[train[:, 0].astype(int), train[:, 1].astype(int)] = train[:, 2]
pairs = np.argwhere(np.ones_like(stars))
said = model.predict(pairs).reshape(stars.shape)
by_taste, by_kind = (
    np.lexsort([taste.max(axis=1), taste.argmax(axis=1)]),
    np.argsort(kind, kind="stable"),
)

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 3.8), layout="constrained")
for ax, values, title in ((left, known, "Known ratings"), (middle, said, "Predicted")):
    image = ax.imshow(
        values[np.ix_(by_taste, by_kind)],
        aspect="auto",
        cmap="viridis",
        vmin=1,
        vmax=5,
        interpolation="nearest",
    )
    ax.set(
        title=title,
        xlabel="films, kind by kind",
        ylabel="users, taste by taste",
        xticks=[],
        yticks=[],
    )
fig.colorbar(image, ax=[left, middle], label="stars", shrink=0.8)
place = np.argsort(model.item_ids_)  # rows of the factors are in the order of the ids
factors = PCA(2).fit_transform(model.item_factors_[place])
for k, name in enumerate(kinds):
    right.scatter(*factors[kind == k].T, label=name, edgecolor="white")
right.set(title="Factors of the films", xlabel="first axis", ylabel="second axis")
right.legend()
plt.show()
