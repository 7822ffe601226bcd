"""A Kubernetes for each cluster of EKS: a stand-in API server, its controllers, and a kubelet that runs processes."""
