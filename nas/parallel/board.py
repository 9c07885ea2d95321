"""Where processes that share a job leave texts for each other."""

import torch.distributed as dist


class Board:
    """Texts by key, which every process of a group can write and read, before and after it joins.

    `Board()` is a new one for processes on this machine, at a free port; `Board(port)` is the same for another process.
    """

    def __init__(self, port: int | None = None, *, store: dist.Store | None = None) -> None:
        self.store = store or dist.TCPStore("127.0.0.1", port or 0, is_master=port is None, wait_for_workers=False)

    @property
    def port(self) -> int:
        """Where other processes on this machine find it."""
        assert isinstance(self.store, dist.TCPStore)
        return self.store.port

    def write(self, key: str, text: str) -> None:
        """Leaves a text, in the place of an older one."""
        self.store.set(key, text)

    def read(self, key: str) -> str:
        """The text; waits until there is one."""
        return self.store.get(key).decode()

    def has(self, key: str) -> bool:
        """Whether there is a text."""
        return self.store.check([key])

    def is_first(self, key: str) -> bool:
        """Whether no process has asked this of the key before."""
        return self.store.add(key, 1) == 1
