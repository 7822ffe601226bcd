"""Nodes without machines: the sandbox's kubelet, over a runner that stands for the containers."""
