"""Containers as processes of this machine: images from the sandbox's ECR, unpacked, and run on loopback addresses."""
