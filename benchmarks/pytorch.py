"""The same networks, batch, optimizer and augmentation in PyTorch, to compare the speed.

Channels last and the fused Adam, its fastest on a processor; one thread.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn


class Augmentation(nn.Module):
    """In training: mirrors half of the images, shifts each by up to a tenth, edges reflected."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return images
        count = len(images)
        transform = torch.zeros(count, 2, 3)
        transform[:, 0, 0] = 1 - 2 * (torch.rand(count) < 0.5).float()
        transform[:, 1, 1] = 1
        transform[:, :, 2] = (2 * torch.rand(count, 2) - 1) * 0.2  # the image is 2 units wide
        grid = functional.affine_grid(transform, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def network(regularized: bool) -> nn.Sequential:
    """Return the lesson's network: 1×28×28 in [0, 1] in, ten logits out."""

    def dropout(rate: float) -> list[nn.Module]:
        return [nn.Dropout(rate)] if regularized else []

    return nn.Sequential(
        *([Augmentation()] if regularized else []),
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), *dropout(0.25)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), *dropout(0.25)),
        *(nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), *dropout(0.5), nn.Linear(128, 10)),
    )


def epochs(model: str, images: np.ndarray, labels: np.ndarray, count: int) -> Iterator[float]:
    """Train on the first 80 % and give the validation accuracy after each epoch.

    Args:
        images: float32, N×28×28×1, in [0, 1].
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trained = network(model == "regularized").to(memory_format=torch.channels_last)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2)
    targets = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-3, eps=1e-7, fused=True)
    split, size = int(0.8 * len(images)), 64

    def step(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss and the number of images classified right; Keras computes both, too."""
        logits = trained(inputs[batch])
        right = (logits.argmax(1) == targets[batch]).sum()
        return functional.cross_entropy(logits, targets[batch]), right

    for _ in range(count):
        trained.train()
        for batch in torch.randperm(split).split(size):
            optimizer.zero_grad()
            loss, _ = step(batch)
            loss.backward()
            optimizer.step()
        trained.eval()
        with torch.inference_mode():
            held_out = torch.arange(split, len(images)).split(size)
            yield sum(int(step(batch)[1]) for batch in held_out) / (len(images) - split)
