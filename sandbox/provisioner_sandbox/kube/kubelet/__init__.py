"""What a kubelet says to an API server of pods, over a runner that stands for the containers."""
