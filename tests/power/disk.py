"""A disk whose power can be cut: ext4 on a loop device over a file.

What a program has written and not yet synced lies in the kernel's page cache and not in the file.
So a copy of the file is what a machine would find on its disk if the power had gone at that
moment; mounted, ext4 replays its journal as after a real cut. One thing is kinder than reality:
a disk's own volatile cache is taken as empty.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def possible() -> bool:
    """Whether this machine lets us mount disks: root, with loop devices."""
    probe = subprocess.run(["losetup", "--find"], capture_output=True, check=False)
    return probe.returncode == 0


class Disk:
    """A mounted disk of ``mib`` mebibytes in ``folder``."""

    def __init__(self, folder: Path, mib: int = 512) -> None:
        self._folder = folder
        self._number = 0
        with self._image.open("wb") as image:
            image.truncate(mib << 20)
        _run("mkfs.ext4", "-q", str(self._image))
        self._mount()

    @property
    def _image(self) -> Path:
        return self._folder / f"disk-{self._number}.img"

    @property
    def path(self) -> Path:
        """Where it is mounted; another place after each cut."""
        return self._folder / f"mounted-{self._number}"

    def freeze_frame(self) -> None:
        """Keeps what is on the disk now: the moment of the cut. Its writers must stand still."""
        following = self._folder / f"disk-{self._number + 1}.img"
        _run("cp", "--sparse=always", str(self._image), str(following))

    def cut(self) -> None:
        """Goes on with what ``freeze_frame`` kept. The writers must be dead."""
        self._unmount()
        self._image.unlink()
        self._number += 1
        self._mount()

    def close(self) -> None:
        self._unmount()

    def _mount(self) -> None:
        self.path.mkdir()
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def _unmount(self) -> None:
        _run("umount", str(self.path))
        shutil.rmtree(self.path)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
