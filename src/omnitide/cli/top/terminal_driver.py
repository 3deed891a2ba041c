"""Where `top` draws."""

import io
import sys

from textual.drivers.linux_driver import LinuxDriver


class OutputDriver(LinuxDriver):
    """Draws to standard output, which is known to be a terminal by then. Textual's own draws to standard error, which
    people send elsewhere: the terminal would stay blank, and the file be full of drawing."""

    def start_application_mode(self) -> None:
        output = sys.__stdout__
        if isinstance(output, io.TextIOWrapper):
            # As standard error has it: a letter that the terminal's encoding lacks ends nothing.
            output.reconfigure(errors="backslashreplace")
            self._file = output
        super().start_application_mode()
