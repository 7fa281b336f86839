"""Published image classifiers, defined here as plain ONNX graphs; weights are yours or random."""

from sec_nodes.inference.networks.build import NETWORKS, build_network

__all__ = ['NETWORKS', 'build_network']
