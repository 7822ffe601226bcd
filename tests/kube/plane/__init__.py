"""A Kubernetes cluster on loopback: a real control plane, EKS's way to say who calls, and nodes that only pretend."""

import importlib.util
import sys
from pathlib import Path

# The kubelet itself is the sandbox's, which runs pods with it; a sandbox that starts this brings its own.
if importlib.util.find_spec("provisioner_sandbox") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "sandbox"))
