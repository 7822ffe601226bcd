"""One asking of a probe, in the kubelet's words where it fails."""

from __future__ import annotations

import http.client
import socket
from typing import Any

AGENT = "kube-probe/sandbox"
# A loaded machine is not a sick application.
LEAST_TIMEOUT = 1.0


class Probing:
    """Of a container at an address. `ports` are its named ones."""

    def __init__(self, address: str, container: dict[str, Any]):
        self.address = address
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
        if secure:
            import ssl

            # As the kubelet, which asks for no certificate that it could check.
            context = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        headers = {"User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
        headers |= {one["name"]: one["value"] for one in wanted.get("httpHeaders", [])}
        try:
            connection.request("GET", path, headers=headers)
            code = connection.getresponse().status
        except TimeoutError:
            return f"{where}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        except (OSError, http.client.HTTPException) as error:
            return f"{where}: {said(error, host, port)}"
        finally:
            connection.close()
        return None if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"

    def tcp(self, probe: dict[str, Any], timeout: float) -> str | None:
        wanted = probe["tcpSocket"]
        port = self.port(wanted["port"])
        if port is None:
            return f"couldn't find port: {wanted['port']}"
        host = wanted.get("host") or self.address
        try:
            socket.create_connection((host, port), timeout).close()
        except TimeoutError:
            return f"dial tcp {host}:{port}: i/o timeout"
        except OSError as error:
            return said(error, host, port)
        return None


def said(error: Exception, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    if isinstance(error, (ConnectionError, http.client.HTTPException)):
        return "EOF" if not isinstance(error, ConnectionResetError) else "read: connection reset by peer"
    return f"dial tcp {host}:{port}: {str(error).lower()}"
