"""PyTorch on the CPU, as its users write it: a linear layer, autograd, optim.SGD, batches by index_select.

The decay is an option of the weight's own group, so that the intercept is left alone, as everywhere in this benchmark.
"""

import torch
from scipy.sparse import issparse
from torch.nn import functional

from bench.objective import targets
from bench.peers import UnsupportedError

LOSSES = {
    "squared_error": lambda z, t: functional.mse_loss(z, t) / 2,
    "log_loss": functional.binary_cross_entropy_with_logits,
    "softmax": functional.cross_entropy,
}


def prepare(problem, X, y, shuffle, threads):
    if problem.batch_size == 1:
        raise UnsupportedError("takes minutes for one row a step")
    if issparse(X) or problem.l1 or problem.average or problem.loss not in LOSSES:
        raise UnsupportedError("has no optimiser for sparse rows, L1, averages or the hinge")
    data, loss, n = torch.from_numpy(X), LOSSES[problem.loss], X.shape[0]
    t, outputs = _targets(problem, y, X.dtype)
    size = n if problem.batch_size == "full" else problem.batch_size

    def train(epochs):
        torch.set_num_threads(threads)
        generator = torch.Generator().manual_seed(0)
        model = torch.nn.Linear(X.shape[1], outputs, dtype=data.dtype)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        groups = [{"params": model.weight, "weight_decay": problem.l2}, {"params": model.bias}]
        optimizer = torch.optim.SGD(groups, lr=problem.rate)
        for _ in range(epochs):
            order = torch.randperm(n, generator=generator) if shuffle else None
            for start in range(0, n, size):
                if order is None:
                    rows, wanted = data[start : start + size], t[start : start + size]
                else:
                    batch = order[start : start + size]
                    rows, wanted = data.index_select(0, batch), t.index_select(0, batch)
                optimizer.zero_grad()
                loss(model(rows), wanted).backward()
                optimizer.step()
        return model.weight.detach().numpy(), model.bias.detach().numpy()

    return train


def _targets(problem, y, dtype):
    """(tensor as the loss wants it, number of outputs)."""
    t = targets(problem, y)
    if problem.loss == "softmax":
        return torch.from_numpy(t[:, 0]), int(t.max()) + 1
    t = (t > 0) if problem.loss == "log_loss" else t
    return torch.from_numpy(t.astype(dtype, copy=False)), t.shape[1]
