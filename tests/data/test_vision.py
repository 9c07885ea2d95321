"""The import of torchvision."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_transforms_work_and_importing_nas_data_does_not_load_torchvision() -> None:
    script = """
import sys
import nas.data
assert not any(name.split(".")[0] in ("torchvision", "sklearn") for name in sys.modules)
import torch
from nas.data.vision import torchvision
image = torch.arange(9.0).view(1, 3, 3)
assert torchvision.transforms.CenterCrop(1)(image).item() == 4
assert torchvision.datasets.CIFAR10 and torchvision.models.resnet18
print("fine")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")
