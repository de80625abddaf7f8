"""`python -m models_admin.management.demo.digits FOLDER`: train a small convolutional network on handwritten digits.

Place: started by the command `train_digits` as a process of its own; nothing imports this module.
Rules: the same seed gives the same weights; less than MIN_ACCURACY on held-out images is a failure.
Units: pixels come as 0 to 16 in scikit-learn's set and are fed as 0 to 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

SEED = 20_261_125
EPOCHS = 30
BATCH_ROWS = 64
LEARNING_RATE = 2e-3
HELD_OUT_RATIO = 0.25
MIN_ACCURACY = 0.97
PIXEL_MAX = 16.0
SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}],
}


class DigitsNet(nn.Module):
    """8 × 8 pixels → log-probabilities of the ten digits; about 37,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2),
        )  # fmt: skip
        self.classify = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Log-probabilities, one row an image."""
        return torch.log_softmax(self.classify(self.features(image)), dim=1)


def main() -> int:
    """Train, measure on held-out images, write both formats, the signature and one example. Returns the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    train_x, test_x, train_y, test_y = _images()
    model = _train(train_x, train_y)
    with torch.inference_mode():
        answers = model(test_x).argmax(dim=1)
    accuracy = (answers == test_y).double().mean().item()
    print(f"digits: accuracy {accuracy:.4f} on {len(test_y)} held-out images")
    if accuracy < MIN_ACCURACY:
        print(f"digits: less than {MIN_ACCURACY}; nothing was written", file=sys.stderr)
        return 1
    _write(model, folder)
    right = int((answers == test_y).nonzero()[0])
    facts = {
        "accuracy": accuracy,
        "held_out_images": len(test_y),
        "signature": SIGNATURE,
        "example": {"pixels": test_x[right].flatten().tolist(), "label": int(test_y[right])},
    }
    (folder / "digits.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return 0


def _images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    digits = load_digits()
    pixels = (digits.images / PIXEL_MAX).astype("float32").reshape(-1, 1, 8, 8)
    parts = train_test_split(pixels, digits.target, test_size=HELD_OUT_RATIO, random_state=SEED, stratify=digits.target)
    train_x, test_x, train_y, test_y = (torch.from_numpy(part) for part in parts)
    return train_x, test_x, train_y, test_y


def _train(images: torch.Tensor, labels: torch.Tensor) -> DigitsNet:
    model = DigitsNet()
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH_ROWS):
            optimiser.zero_grad()
            nn.functional.nll_loss(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    return model.eval()


def _write(model: DigitsNet, folder: Path) -> None:
    example = torch.zeros(2, 1, 8, 8)
    traced = torch.jit.freeze(torch.jit.trace(model, example))
    torch.jit.save(traced, str(folder / "digits.pt"), _extra_files={"dlproxy.json": json.dumps(SIGNATURE)})
    program = torch.export.export(
        model, (example,), dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=65_536)}}
    )
    torch.export.save(program, str(folder / "digits.pt2"))


if __name__ == "__main__":
    sys.exit(main())
