"""One writer a folder."""

import fcntl
import os
import socket
from pathlib import Path

NAME = ".lock"
_held: set[int] = set()
"""The files of the locks of this process."""


class Lock:
    """A lock on a folder that ends with its holder, however that ends; `take` it, `release` it.

    The file `.lock` names the holder. It is left behind by one that is killed, and harmless then: what counts is the
    lock of the system on it. Processes forked from the holder, such as those that read data, don't hold it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: int | None = None

    def take(self) -> None:
        """Makes this process the holder.

        Raises:
            ValueError: there is another one, which the message names.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            # a link would lead to a file of somebody, which is overwritten, and a pipe is waited for
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(file, 100).decode(errors="replace").strip() or "another process"
                os.close(file)
                raise ValueError(
                    f"{self.path.parent} is in use by {holder}: wait until that has ended, or stop it"
                ) from None
            if self._is_there(file):
                self._file = file
                _held.add(file)
            else:  # its holder removed it in the meantime
                os.close(file)
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Lets others take it."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            _held.discard(self._file)
            os.close(self._file)
            self._file = None

    def _is_there(self, file: int) -> bool:
        return self.path.exists() and os.path.samestat(os.fstat(file), self.path.stat())


def _let_go() -> None:
    """Closes a forked process' copies of the files: the lock of the system would last as long as they are open."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)
