"""Networks of pods, as root on Linux: all ports of a pod are its own, whatever address its processes listen at.

Each pod is a namespace with 127.0.0.1 and the pod's address. A further namespace, the hub, forwards between them, and takes
what pods send elsewhere. What the sandbox relays: from this machine to the ports at which a pod listens; from a pod's
127.0.0.1 to the sandbox and the API server; and from the hub to the machine, at the ports of load balancers, of the web, and of name servers.
"""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
import traceback

from provisioner_sandbox import connection_owner
from provisioner_sandbox.kube.networks import names, netlink
from provisioner_sandbox.kube.networks.entrance import Entrance, Loop, Place
from provisioner_sandbox.kube.networks.namespace import Namespace
from provisioner_sandbox.kube.networks.owners import takes
from provisioner_sandbox.kube.processes.isolation import ISOLATION

LOCAL = "127.0.0.1"
LOOK_SECONDS = 0.1
# Of what pods call outside: other services of the internet, and load balancers.
WEB_PORTS = (53, 80, 443)
DEVICE = "eth0"


class PodNetwork:
    """`outside`: ports of 127.0.0.1 on this machine that are the pod's 127.0.0.1 too. Raises `OSError`."""

    def __init__(self, hub: Hub, address: str, outside: set[int]):
        self.hub = hub
        self.address = address
        self.lock = threading.Lock()
        self.closed = False
        self.entrances: dict[int, Entrance] = {}
        self.troubles: dict[int, str] = {}
        self.exits: list[Entrance] = []
        self.namespace = Namespace(address)
        try:
            hub.join(self.namespace, address)
            self.kernel = self.namespace.run(diagnosis)
            for port in outside:
                held = self.namespace.run(lambda port=port: bound(LOCAL, port))
                self.exits.append(Entrance(hub.loop, held, self.go_out, connection_owner.forget))
        except BaseException:
            self.namespace.close()
            raise

    def go_out(self, theirs: Place, ours: Place) -> tuple[socket.socket, Place]:
        """Whose process calls is known in the pod's network alone, and kept for who is called."""
        user = self.namespace.run(lambda: connection_owner.by_kernel(theirs, ours))
        made = socket.socket()
        made.bind((LOCAL, 0))
        connection_owner.note(made.getsockname(), user)
        return made, (LOCAL, ours[1])

    def go_in(self, theirs: Place, ours: Place) -> tuple[socket.socket, Place]:
        made = self.namespace.socket()
        made.bind((LOCAL, 0))
        return made, (self.address, ours[1])

    def connect(self, port: int, timeout: float) -> socket.socket:
        """To a process of the pod. Raises `OSError`."""
        made = self.namespace.socket()
        made.settimeout(timeout)
        try:
            made.connect((self.address, port))
        except BaseException:
            made.close()
            raise
        return made

    def sync(self) -> None:
        """Opens on this machine what the pod's processes listen at, and closes what they no longer do."""
        with self.lock:
            if self.closed:
                return
            found = netlink.listeners(self.kernel)
            wanted = {port for place, port, _ in found if takes(place, self.address)}
            for port in set(self.entrances) - wanted:
                self.entrances.pop(port).close()
            self.troubles = {port: text for port, text in self.troubles.items() if port in wanted}
            for port in wanted - set(self.entrances):
                try:
                    self.entrances[port] = Entrance(self.hub.loop, bound(self.address, port), self.go_in)
                    self.troubles.pop(port, None)
                except OSError as error:
                    text = f"cannot be opened on this machine: {error.strerror or error}"
                    self.troubles[port] = f"{self.address}:{port} {text}"

    def close(self) -> None:
        with self.lock:
            self.closed = True
            for one in [*self.entrances.values(), *self.exits]:
                one.close()
            self.kernel.close()
            self.namespace.close()


class Hub:
    def __init__(self) -> None:
        self.loop = Loop()
        self.namespace = Namespace("", forwards=True)
        self.namespace.run(lambda: netlink.add_route("lo", "0.0.0.0", 0, here=True))
        names.listen(self.namespace)
        self.numbers = itertools.count(1)
        self.exits: dict[int, Entrance] = {}
        self.lock = threading.Lock()

    def join(self, pod: Namespace, address: str) -> None:
        """Raises `OSError`."""
        name = f"pod{next(self.numbers)}"

        def here() -> None:
            netlink.add_pair(name, pod.fd, DEVICE)
            netlink.start(name)

        def there() -> None:
            netlink.start(DEVICE)
            netlink.add_route(DEVICE, "0.0.0.0", 0, source=address)

        self.namespace.run(here)
        pod.run(there)
        self.namespace.run(lambda: netlink.add_route(name, address, 32))

    def expose(self, port: int) -> None:
        """Whatever address of this machine, or beyond it, a pod calls at this port."""
        with self.lock:
            if port not in self.exits:
                held = self.namespace.run(lambda: bound("0.0.0.0", port))
                self.exits[port] = Entrance(self.loop, held, lambda theirs, ours: (socket.socket(), ours))


class Networks:
    """Those of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known = False
        self.why: str | None = None
        self.hub: Hub | None = None
        self.ports = set(WEB_PORTS)
        self.pods: set[PodNetwork] = set()

    def trouble(self) -> str | None:
        """Why pods share this machine's network; `None` where they do not."""
        with self.lock:
            if not self.known:
                self.known, self.why = True, self.begin()
                if self.why:
                    print(f"pods share this machine's network: {self.why}", file=sys.stderr, flush=True)
            return self.why

    def begin(self) -> str | None:
        why = ISOLATION.trouble()
        if why is not None:
            return why
        try:
            self.hub = Hub()
            PodNetwork(self.hub, "127.127.255.254", set()).close()
            for port in self.ports:
                self.hub.expose(port)
        except OSError as error:
            return f"network namespaces are not permitted here ({error.strerror or error})"
        threading.Thread(target=self.watch, name="kube ports", daemon=True).start()
        return None

    def make(self, address: str, outside: set[int]) -> PodNetwork | None:
        """Raises `OSError` where one that should be had is not."""
        if self.trouble() is not None or self.hub is None:
            return None
        made = PodNetwork(self.hub, address, outside)
        with self.lock:
            self.pods.add(made)
        return made

    def leave(self, network: PodNetwork) -> None:
        with self.lock:
            self.pods.discard(network)
        network.close()

    def expose(self, port: int) -> None:
        """A port of a load balancer."""
        with self.lock:
            self.ports.add(port)
            hub = self.hub if self.known and self.why is None else None
        if hub is not None:
            hub.expose(port)

    def watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            with self.lock:
                pods = list(self.pods)
            for pod in pods:
                try:
                    pod.sync()
                except Exception:
                    traceback.print_exc(file=sys.stderr)


def bound(address: str, port: int) -> socket.socket:
    """Raises `OSError`."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address, port))
        # Here and not later: the port may be held by a socket that does not listen yet.
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def diagnosis() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.SOCK_DIAG)


NETWORKS = Networks()
