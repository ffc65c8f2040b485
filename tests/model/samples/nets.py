"""Networks of an author's own, as the samples of PyTorch have them."""

import torch
from torch import nn


class Net(nn.Module):
    """Four numbers to three."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, scale: float = 1.0):
        return self.last(torch.relu(self.norm(self.first(x)))) * scale


class Two(nn.Module):
    """Numbers and a word's number to two outputs."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.linear = nn.Linear(4, 2)

    def forward(self, numbers: torch.Tensor, word: torch.Tensor):
        found = self.linear(numbers + self.words(word))
        return found, found.argmax(1)


class Dicts(nn.Module):
    """A dict of numbers to a dict of two outputs."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, batch: dict[str, torch.Tensor]):
        found = self.linear(batch["size"]) * batch["age"]
        return {"score": found, "best": found.argmax(1)}


class Tree(nn.Module):
    """A pair, a number that is fixed and a mask by name."""

    def forward(self, pair: tuple[torch.Tensor, torch.Tensor], times: int, *, mask: torch.Tensor):
        return (pair[0] + pair[1]) * times * mask
