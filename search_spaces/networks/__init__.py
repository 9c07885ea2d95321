from search_spaces.networks.backbones import BACKBONES
from search_spaces.networks.cifar_resnet import CifarResNet
from search_spaces.networks.discrete import SizedNetwork
from search_spaces.networks.space import NetworkSpace

__all__ = ["BACKBONES", "CifarResNet", "NetworkSpace", "SizedNetwork"]
