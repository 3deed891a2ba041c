"""A child that ends with the command that started it, however that ends: its standard input is a pipe which the
command alone holds open, and the kernel closes it for whoever is killed."""

import os
import signal
import threading
import time
from typing import Final

PATIENCE_S: Final = 15.0


def end_with_parent() -> None:
    """From now on, the end of standard input is SIGTERM, and SIGKILL for what takes longer than PATIENCE_S."""
    threading.Thread(target=_wait, name="tether", daemon=True).start()


def _wait() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)
