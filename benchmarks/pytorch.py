"""The same networks, batch, optimizer and augmentation in PyTorch, to compare the speed.

Channels last and the fused Adam, its fastest on a processor; one thread.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

BATCH = 64


class Network(nn.Module):
    """The lesson's network: 1×28×28 in [0, 1] in, ten logits out."""

    def __init__(self, regularized: bool):
        super().__init__()
        self.regularized = regularized
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dense1, self.dense2 = nn.Linear(1600, 128), nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.regularized and self.training:
            images = augmented(images)
        hidden = self.dropout(functional.max_pool2d(functional.relu(self.conv1(images)), 2), 0.25)
        hidden = self.dropout(functional.max_pool2d(functional.relu(self.conv2(hidden)), 2), 0.25)
        hidden = self.dropout(functional.relu(self.dense1(hidden.flatten(1))), 0.5)
        return self.dense2(hidden)

    def dropout(self, values: torch.Tensor, rate: float) -> torch.Tensor:
        return functional.dropout(values, rate, self.training) if self.regularized else values


def augmented(images: torch.Tensor) -> torch.Tensor:
    """Mirror half of the images and shift each by up to a tenth, edges reflected, bilinear."""
    count = len(images)
    transform = torch.zeros(count, 2, 3)
    transform[:, 0, 0] = 1 - 2 * (torch.rand(count) < 0.5).float()
    transform[:, 1, 1] = 1
    transform[:, :, 2] = (2 * torch.rand(count, 2) - 1) * 0.2  # the image is 2 units wide
    grid = functional.affine_grid(transform, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def epochs(model: str, images: np.ndarray, labels: np.ndarray, count: int) -> Iterator[float]:
    """Train on the first 80 % and give the validation accuracy after each epoch.

    Args:
        images: float32, N×28×28×1, in [0, 1].
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Network(model == "regularized").to(memory_format=torch.channels_last)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2)
    targets = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=True)
    split = int(0.8 * len(images))
    for _ in range(count):
        network.train()
        running = torch.zeros(2)
        for batch in torch.randperm(split).split(BATCH):
            optimizer.zero_grad()
            logits = network(inputs[batch])
            loss = functional.cross_entropy(logits, targets[batch])
            loss.backward()
            optimizer.step()
            right = (logits.argmax(1) == targets[batch]).sum()
            running += torch.stack([loss.detach() * len(batch), right])
        network.eval()
        right = 0
        with torch.inference_mode():
            for batch in torch.arange(split, len(images)).split(BATCH):
                logits = network(inputs[batch])
                functional.cross_entropy(logits, targets[batch])
                right += int((logits.argmax(1) == targets[batch]).sum())
        yield right / (len(images) - split)
