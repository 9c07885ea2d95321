import importlib.metadata
import platform

import torch

from nas.tracking import device_words, versions


def test_versions_are_those_that_run():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["hydra-core"] == importlib.metadata.version("hydra-core")


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("nas.tracking.machine.PACKAGES", ("hydra-core", "no-such-package-here"))
    assert set(versions()) == {"python", "torch", "hydra-core"}


def test_devices_in_words(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert device_words("cpu") == "cpu (1 thread)"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert device_words(torch.device("cpu")) == "cpu (2 threads)"
    assert device_words("meta") == "meta"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert device_words("cuda:1") == "GPU 1"
