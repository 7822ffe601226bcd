"""``python -m demo``: reads the settings, serves until a signal, ends with 0; 1: cannot serve; 2: bad settings."""

import signal
import sys

# The first process of a container ignores a signal that it has no handler for. Without this one, a stop
# during the imports below would last until SIGKILL.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

from demo.server import main  # noqa: E402

sys.exit(main())
