"""A Kubernetes cluster on loopback: a real control plane, EKS's way to say who calls, and nodes that only pretend."""

import sys
from pathlib import Path

# The kubelet itself is the sandbox's, which runs pods with it.
SANDBOX = Path(__file__).resolve().parents[3] / "sandbox"
if str(SANDBOX) not in sys.path:
    sys.path.insert(0, str(SANDBOX))
