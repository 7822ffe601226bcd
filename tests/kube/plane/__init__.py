"""A Kubernetes cluster on loopback: a real control plane, EKS's way to say who calls, and nodes that only pretend."""
