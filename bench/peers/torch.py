"""PyTorch on the CPU as its users write it: linear layers, autograd, its optimisers.

The decay is an option of the weight's own group: the intercept is not penalised, as everywhere.
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


def epochs(problem, X, y, shuffle, threads):
    if problem.batch_size == 1:
        raise UnsupportedError("takes minutes for one row a step")
    if issparse(X) or problem.l1 or problem.average or problem.loss not in LOSSES:
        raise UnsupportedError("has no optimiser for sparse rows, L1, averages or the hinge")
    rows, loss, n = torch.from_numpy(X), LOSSES[problem.loss], X.shape[0]
    t, outputs = _targets(problem, y, X.dtype)
    size = n if problem.batch_size == "full" else problem.batch_size

    def train(epochs):
        torch.set_num_threads(threads)
        generator = torch.Generator().manual_seed(0)
        model = torch.nn.Linear(X.shape[1], outputs, dtype=rows.dtype)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        groups = [{"params": model.weight, "weight_decay": problem.l2}, {"params": model.bias}]
        optimizer = torch.optim.SGD(groups, lr=problem.rate)
        for _ in range(epochs):
            order = torch.randperm(n, generator=generator) if shuffle else None
            for start in range(0, n, size):
                if order is None:
                    batch, wanted = rows[start : start + size], t[start : start + size]
                else:
                    chosen = order[start : start + size]
                    batch, wanted = rows.index_select(0, chosen), t.index_select(0, chosen)
                optimizer.zero_grad()
                loss(model(batch), wanted).backward()
                optimizer.step()
        return model.weight.detach().numpy(), model.bias.detach().numpy()

    return train


def _targets(problem, y, dtype):
    """(tensor as the loss wants it, number of outputs)."""
    t = targets(problem.loss, y)
    if problem.loss == "softmax":
        return torch.from_numpy(t.argmax(axis=1)), t.shape[1]
    t = (t > 0) if problem.loss == "log_loss" else t
    return torch.from_numpy(t.astype(dtype, copy=False)), t.shape[1]


def network(network, X, y):
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    widths = [X.shape[1], *network.hidden, int(y.max()) + 1]

    def train(epochs):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        layers = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(epochs):
            total = 0.0
            for batch in torch.randperm(len(rows)).split(network.batch_size):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(rows[batch]), labels[batch])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
        return total / len(rows)

    return train


def adam(gradient, threads):
    torch.set_num_threads(threads)
    gradient = torch.from_numpy(gradient)
    x = torch.zeros(len(gradient), dtype=gradient.dtype, requires_grad=True)
    x.grad = gradient
    return torch.optim.Adam([x], lr=0.01, fused=True).step
