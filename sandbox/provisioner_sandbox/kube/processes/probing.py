"""One asking of a probe, in the kubelet's words where it fails."""

from __future__ import annotations

import http.client
import socket
from typing import Any

from provisioner_sandbox.kube.networks import owners
from provisioner_sandbox.kube.processes.place import Place

AGENT = "kube-probe/sandbox"
# A loaded machine is not a sick application.
LEAST_TIMEOUT = 1.0


class Probing:
    """Of a container at an address, in a network of the pod's own if there is one. `ports` are its named ones."""

    def __init__(self, place: Place, container: dict[str, Any]):
        self.place = place
        self.address = place.address
        self.network = place.network
        self.ports = {port["name"]: port["containerPort"] for port in container.get("ports", []) if port.get("name")}

    def port(self, wanted: Any) -> int | None:
        if isinstance(wanted, int):
            return wanted
        return int(wanted) if str(wanted).isdecimal() else self.ports.get(wanted)

    def http(self, probe: dict[str, Any], timeout: float) -> str | None:
        wanted = probe["httpGet"]
        port = self.port(wanted["port"])
        if port is None:
            return f"couldn't find port: {wanted['port']}"
        host = wanted.get("host") or self.address
        secure = wanted.get("scheme", "HTTP").upper() == "HTTPS"
        path = wanted.get("path", "/")
        where = f'Get "{"https" if secure else "http"}://{host}:{port}{path}"'
        context = None
        if secure:
            import ssl

            # As the kubelet, which asks for no certificate that it could check.
            context = ssl._create_unverified_context()
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        headers = {"User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
        headers |= {one["name"]: one["value"] for one in wanted.get("httpHeaders", [])}
        try:
            made = self.connect(host, port, timeout)
            connection.sock = context.wrap_socket(made, server_hostname=host) if context else made
            connection.request("GET", path, headers=headers)
            code = connection.getresponse().status
        except TimeoutError:
            return f"{where}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        except (OSError, http.client.HTTPException) as error:
            return f"{where}: {said(error, host, port)}"
        finally:
            connection.close()
        return self.opened(host, port) if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"

    def tcp(self, probe: dict[str, Any], timeout: float) -> str | None:
        wanted = probe["tcpSocket"]
        port = self.port(wanted["port"])
        if port is None:
            return f"couldn't find port: {wanted['port']}"
        host = wanted.get("host") or self.address
        try:
            self.connect(host, port, timeout).close()
        except TimeoutError:
            return f"dial tcp {host}:{port}: i/o timeout"
        except OSError as error:
            return said(error, host, port)
        return self.opened(host, port)

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """To the pod itself, where it has a network. Raises `OSError`."""
        if self.network is not None and host == self.address:
            return self.network.connect(port, timeout)
        return socket.create_connection((host, port), timeout)

    def opened(self, host: str, port: int) -> str | None:
        """Why an answer does not count: what succeeds for the kubelet must be reached by others too, and be the pod's."""
        if host != self.address:
            return None
        if self.network is None:
            if not owners.stranger(host, port, self.place.processes()):
                return None
            return f"{host}:{port} is answered by a process that is not of this pod: pods share this machine's network"
        self.network.sync()
        return self.network.troubles.get(port)


def said(error: Exception, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    if isinstance(error, (ConnectionError, http.client.HTTPException)):
        return "EOF" if not isinstance(error, ConnectionResetError) else "read: connection reset by peer"
    return f"dial tcp {host}:{port}: {str(error).lower()}"
