"""Classify images by networks: handwritten digits, and Fashion-MNIST if Debian's package
dataset-fashion-mnist is installed.

Run it by ``python examples/recognise_images.py``.
"""

import gzip
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from fastgd import MLPClassifier

FASHION = Path("/usr/share/datasets/fashion-mnist")
NAMES = [
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]


def images(part):
    """(pixels from 0 to 1 in float32, labels) of Fashion-MNIST's "train" or "t10k" files."""
    pixels, labels = (
        gzip.decompress((FASHION / f"{part}-{what}-ubyte.gz").read_bytes())
        for what in ("images-idx3", "labels-idx1")
    )
    labels = np.frombuffer(labels, np.uint8, offset=8)
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(len(labels), -1).astype(
        np.float32
    ) / 255, labels


def digits():
    X, X_test, y, y_test = train_test_split(
        *load_digits(return_X_y=True), stratify=load_digits().target, random_state=0
    )
    model = MLPClassifier(random_state=0).fit(X, y)  # no scaling, no tuning
    print(
        f"digits: {model.score(X_test, y_test):.3f} of {len(y_test)} recognised after "
        f"{model.n_iter_} epochs"
    )
    X, X_val, y, y_val = train_test_split(X, y, stratify=y, random_state=0)
    model = MLPClassifier(
        (200, 100), activation="gelu", dropout=0.2, early_stopping=True, random_state=0
    )
    model.fit(X, y, X_val=X_val, y_val=y_val)
    print(
        f"two layers, dropout, and the best epoch ({model.best_epoch_}) by data held out: "
        f"{model.score(X_test, y_test):.3f}"
    )


def fashion():
    X, y = images("train")
    X_test, y_test = images("t10k")
    model = MLPClassifier((256,), max_iter=5, tol=None, random_state=0).fit(X, y)
    print(
        f"Fashion-MNIST: {model.score(X_test, y_test):.3f} of {len(y_test)} recognised after "
        f"{model.n_iter_} epochs"
    )
    mistaken = confusion_matrix(y_test, model.predict(X_test))
    np.fill_diagonal(mistaken, 0)
    kind, other = np.unravel_index(mistaken.argmax(), mistaken.shape)
    print(f"most often, {mistaken.max()} times, a {NAMES[kind]} is taken for a {NAMES[other]}")


if __name__ == "__main__":
    digits()
    if FASHION.is_dir():
        fashion()
    else:
        print(f"Fashion-MNIST: not in {FASHION}")
