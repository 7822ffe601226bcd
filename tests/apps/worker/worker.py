"""Works until it is told to stop."""

import signal
import threading

stopped = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stopped.set())
stopped.wait()
