"""Torchvision, importable also where its compiled operators do not load (beside a CPU build of torch).

Its import then fails with `operator torchvision::nms does not exist`; data sets, transforms and models need only that
the two operators are declared. Import it inside the function that needs it: it takes seconds.
"""

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    # Held for the life of the process: the declarations vanish with the object.
    DECLARED = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        DECLARED.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

__all__ = ["torchvision"]
