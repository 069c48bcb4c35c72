"""A serial port as a transport: bytes out, bytes in, and sentences where it fails."""

__all__ = ["SerialPort", "Transport"]

import errno
import time
from typing import Protocol

from sterna.golden.device.link import LinkError
from sterna.golden.errors import UsageError
from sterna.golden.words.names import show
from sterna.golden.words.packages import packages
from sterna.golden.words.values import integer

with packages():
    import serial
    from serial.tools import list_ports


class Transport(Protocol):
    """What a connection needs of a line. Each call may raise LinkError."""

    def read(self, wait: float) -> bytes:
        """What has arrived; waits up to ``wait`` seconds for the first byte."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of it; at most 256 bytes."""
        ...

    def close(self) -> None:
        """Release the line; may be called twice."""
        ...

    def monotonic(self) -> float:
        """The line's time in seconds; a simulated line has a time of its own."""
        ...


class SerialPort:
    """A serial port, 8N1, no flow control, for this process alone.

    Args:
        name: as the system calls it: /dev/ttyUSB0, COM3; or a pyserial URL.
        baud: bits a second, as the board's bitstream has it.
        timeout: seconds in which the port must take 256 bytes.

    Raises:
        LinkError: there is no such port, it is in use or forbidden, or takes no such baud rate.
    """

    def __init__(self, name: str, baud: int = 1_000_000, timeout: float = 10.0):
        refusal = f"{show(baud)} baud: give the rate that the bitstream was made for"
        baud = integer(refusal, baud, 1, 2**31 - 1, UsageError)
        self.name, self.baud, self.timeout = name, baud, timeout
        self._port: serial.Serial | None = None
        try:
            self._port = serial.serial_for_url(
                name, baudrate=baud, timeout=0, write_timeout=timeout, exclusive=True
            )
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise LinkError(_refused(name, baud, error)) from error
        try:  # USB adapters otherwise keep bytes back for up to 16 ms
            self._port.set_low_latency_mode(True)
        except (OSError, ValueError, AttributeError, NotImplementedError):
            pass

    def read(self, wait: float) -> bytes:
        port = self._open()
        try:
            waiting = port.in_waiting
            if not waiting and wait > 0:
                if port.timeout != wait:
                    port.timeout = wait
                first = port.read(1)
                return first + port.read(port.in_waiting) if first else b""
            return port.read(waiting) if waiting else b""
        except (OSError, TypeError) as error:  # pyserial: TypeError where the port was closed
            raise LinkError(self._lost()) from error

    def write(self, data: bytes) -> None:
        port = self._open()
        try:
            port.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkError(
                f"port {self.name} took no bytes for {self.timeout:.3g} s; is the other end "
                "running, and no flow control set?"
            ) from error
        except (OSError, TypeError) as error:
            raise LinkError(self._lost()) from error

    def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            try:
                port.close()
            except OSError:  # it has gone already
                pass

    def monotonic(self) -> float:
        return time.monotonic()

    def _open(self) -> serial.Serial:
        if self._port is None:
            raise LinkError(f"port {self.name} is closed; open the board again")
        return self._port

    def _lost(self) -> str:
        return f"port {self.name} has gone; plug the board in and connect again"


def _refused(name: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if isinstance(error, ValueError) and "baud" in text.lower():
        return f"port {name} cannot run at {baud} baud; use a rate of both it and the bitstream"
    if number in (errno.EAGAIN, errno.EBUSY) or "exclusively lock" in text:
        return f"port {name} is in use by another program; close that first"
    if number in (errno.EACCES, errno.EPERM) or "PermissionError" in text:
        return (
            f"port {name} may not be opened by this user; on Linux join its group "
            "(ls -l shows it, often dialout) and log in again, elsewhere close other programs"
        )
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or "FileNotFoundError" in text:
        return f"there is no port {name}; {_others()}"
    if number in (errno.ENOTTY, errno.EINVAL, errno.EISDIR) or "Could not configure" in text:
        return f"{name} is no serial port; {_others()}"
    return f"port {name} cannot be opened ({text.rstrip('.')}); {_others()}"


def _others() -> str:
    found = sorted(port.device for port in list_ports.comports())
    return f"this machine has {', '.join(found)}" if found else "this machine has none: plug it in"
