"""PyTorch on the CPU as its users write it: linear layers, autograd, its optimisers.

The decay is an option of the weight's own group: the intercept is not penalised, as everywhere.
"""

from itertools import pairwise

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
    size = n if problem.batch_size == "full" else problem.batch_size
    t = targets(problem.loss, y)
    outputs = t.shape[1]
    if problem.loss == "softmax":
        t = torch.from_numpy(t.argmax(axis=1))
    else:
        t = torch.from_numpy(((t > 0) if problem.loss == "log_loss" else t).astype(X.dtype))

    def train(epochs):
        torch.set_num_threads(threads)
        generator = torch.Generator().manual_seed(0)
        model = torch.nn.Linear(X.shape[1], outputs, dtype=rows.dtype)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        groups = [{"params": model.weight, "weight_decay": problem.l2}, {"params": model.bias}]
        optimizer = torch.optim.SGD(groups, lr=problem.rate)
        for _ in range(epochs):
            if shuffle:
                order = torch.randperm(n, generator=generator)
                parts = ((rows.index_select(0, o), t.index_select(0, o)) for o in order.split(size))
            else:
                parts = zip(rows.split(size), t.split(size), strict=True)
            for batch, wanted in parts:
                optimizer.zero_grad()
                loss(model(batch), wanted).backward()
                optimizer.step()
        return model.weight.detach().numpy(), model.bias.detach().numpy()

    return train


def network(hidden, batch_size, X, y):
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)

    def train(epochs):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        layers = []
        for inputs, outputs in pairwise([X.shape[1], *hidden, int(y.max()) + 1]):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(epochs):
            total = 0.0
            for batch in torch.randperm(len(rows)).split(batch_size):
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
