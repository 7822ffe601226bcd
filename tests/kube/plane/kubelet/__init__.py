"""Nodes without machines: what a kubelet says to the API server, over a runner that stands for the containers."""
