"""A Python that can import what a board's host has and nothing more: no torch, no Amaranth."""

import subprocess
import sys
from pathlib import Path

__all__ = ["run_host_only"]

_BAN = """
import sys
class Ban:
    allowed = {'numpy', 'serial', 'safetensors', 'sterna', *sys.stdlib_module_names}
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] not in self.allowed and not name.startswith('__editable__'):
            raise ModuleNotFoundError(name + ' is banned here', name=name)
sys.meta_path.insert(0, Ban())
"""


def run_host_only(code: str, folder: Path) -> str:
    """What ``code`` prints, run in ``folder``; fails where it fails."""
    command = [sys.executable, "-c", _BAN + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
