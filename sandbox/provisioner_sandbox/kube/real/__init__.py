"""A real API server for a cluster, from the testbed, instead of the stand-in. The sandbox is its kubelet and its load
balancer controller, and authorizes its callers.

Here a pod has two addresses: one of the VPC, which Kubernetes knows (it takes no loopback address for an endpoint), and
the one at which its process listens.
"""
