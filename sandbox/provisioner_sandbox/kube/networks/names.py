"""Questions of pods to name servers: by UDP, to whichever address is in their `/etc/resolv.conf`.

Source: https://www.rfc-editor.org/rfc/rfc1035#section-4.2.1, and ip(7) for IP_PKTINFO.
"""

from __future__ import annotations

import socket
import struct
import threading

from provisioner_sandbox.kube.networks.namespace import Namespace

PORT = 53
MAX_BYTES = 65535
ANSWER_SECONDS = 5.0
# Interface, the address to send from, and the one that was called.
PACKET_INFO = struct.Struct("=I4s4s")
IP_PKTINFO = 8


def listen(namespace: Namespace) -> None:
    """Takes what is sent to this port of any address, for as long as the process lasts. Raises `OSError`."""
    held = namespace.socket(socket.SOCK_DGRAM)
    try:
        held.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        namespace.run(lambda: held.bind(("0.0.0.0", PORT)))
    except OSError:
        held.close()
        raise
    threading.Thread(target=serve, args=(held,), name="kube names", daemon=True).start()


def serve(held: socket.socket) -> None:
    while True:
        question, ancillary, _, caller = held.recvmsg(MAX_BYTES, socket.CMSG_SPACE(PACKET_INFO.size))
        called = next((data for level, kind, data in ancillary if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO)), None)
        if called is not None:
            server = PACKET_INFO.unpack(called)[2]
            threading.Thread(target=relay, args=(held, question, caller, server), daemon=True).start()


def relay(held: socket.socket, question: bytes, caller: tuple[str, int], server: bytes) -> None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
            outside.settimeout(ANSWER_SECONDS)
            outside.connect((socket.inet_ntoa(server), PORT))
            outside.send(question)
            answer = outside.recv(MAX_BYTES)
        own = (socket.IPPROTO_IP, IP_PKTINFO, PACKET_INFO.pack(0, server, bytes(4)))
        held.sendmsg([answer], [own], 0, caller)
    except OSError:
        # As without an answer: the caller asks again.
        return
