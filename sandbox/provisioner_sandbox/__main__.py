"""`python -m provisioner_sandbox --port 0 --state-dir DIR [--time-scale N]`"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from provisioner_sandbox.clock import DEFAULT_SCALE


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="provisioner_sandbox", description="An AWS-compatible server on loopback")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 selects a free one (default)")
    parser.add_argument("--state-dir", type=Path, required=True, help="folder for endpoint.json and pods")
    parser.add_argument(
        "--time-scale", type=float, default=DEFAULT_SCALE, help="how many times faster than AWS time runs"
    )
    parser.add_argument(
        "--kubernetes", type=Path, metavar="TESTPLANE", help="give clusters a real API server, started by this testplane.py"
    )
    parsed = parser.parse_args(argv)
    if parsed.time_scale <= 0:
        parser.error("--time-scale must be greater than 0")
    return parsed


# What the first calls of every run need.
FIRST_SERVICES = ("sts", "s3", "dynamodb", "kms", "iam", "logs", "ec2")
ALL_SERVICES = (
    *FIRST_SERVICES, "eks", "ecr", "ssm", "autoscaling", "service-quotas", "resourcegroupstaggingapi"
)


def warm_up(lock: AbstractContextManager, services: Iterable[str]) -> None:
    """Loads services; a request that arrives meanwhile waits for one of them at most."""
    from provisioner_sandbox import backend, registry
    from provisioner_sandbox.wire.identify import routes
    from provisioner_sandbox.wire.models import service_model

    for service in services:
        with lock:
            model = service_model(service)
            if model and model.protocol.startswith("rest-"):
                routes(service)
            backend.handlers(service, "us-east-1")
            registry.load(service)


def main() -> int:
    options = arguments()
    # The system's own action ends the process at once, whatever a thread is doing; there is no
    # state to save.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from provisioner_sandbox.endpoint_file import write_endpoint
    from provisioner_sandbox.kube.planes import SETTINGS
    from provisioner_sandbox.kube.processes.isolation import ISOLATION
    from provisioner_sandbox.server import Server
    from provisioner_sandbox.world import World

    # Pods have a working folder and a root of their own.
    SETTINGS.folder = options.state_dir.resolve() / "kubernetes"
    SETTINGS.testbed = options.kubernetes
    SETTINGS.tidy()
    # A process with threads should not fork.
    ISOLATION.trouble()
    world = World(options.time_scale)
    server = Server(options.port, world)
    serving = threading.Thread(target=server.serve_forever, name="serve")
    serving.start()
    write_endpoint(options.state_dir, server.server_address[1])
    threading.Thread(target=warm_up, args=(world.lock, FIRST_SERVICES), name="warm-up", daemon=True).start()
    try:
        serving.join()
    except KeyboardInterrupt:
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
