"""Types what a page on a gateway says, in a folder of its own and on ports that are free."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.path.test_tutorial import Block, blocks, is_shown
from typer.testing import CliRunner

from clonewatch.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "gateways"
PORTS = ("8080", "8081", "8643", "8645", "9000", "9901")
# Seconds to the next minute, sizes of files, and how long something took differ from run to run.
RUN = [(r"(?<=retry-after: )\d+", "N"), (r"[\d,]+(?= bytes)", "N"), (r'(?<=_after": )[\d.]+', "N"), (r"\r", "")]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Walk:
    """A folder with a copy of an example, and what the page says next. programs: folder with some more.

    swaps: patterns of texts that the test replaces.
    """

    def __init__(self, folder: Path, example: str, programs: Path, *swaps: tuple[str, str]) -> None:
        shutil.copytree(EXAMPLES / example, folder)
        shutil.copy(EXAMPLES / "upstream.py", folder)
        ports = zip(PORTS, map(str, free_ports(len(PORTS))), strict=True)
        self._programs = programs
        self.folder, self._swaps = folder, [*((rf"\b{old}\b", new) for old, new in ports), *swaps]
        for file in folder.iterdir():
            file.write_text(self.swapped(file.read_text(encoding="utf-8")), encoding="utf-8")

    def swapped(self, text: str) -> str:
        """A text of the example or the page, as it is in this walk."""
        for old, new in self._swaps:
            text = re.sub(old, new, text)
        return text

    def page(self, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Type every block of a page, and compare what is printed with what is shown."""
        monkeypatch.chdir(self.folder)
        printed = ""
        for block in blocks(self.swapped(page.read_text(encoding="utf-8"))):
            if block.title:
                (self.folder / block.title).write_text(block.text, encoding="utf-8")
            elif block.language == "":
                printed = same("".join(self._typed(block)))
            elif block.language == "text":
                shown = same(block.text)
                assert is_shown(shown, printed), f"the page shows\n{shown}\nand this was printed\n{printed}"

    def _typed(self, block: Block) -> list[str]:
        """What each run of lines prints. Clonewatch's own commands run in this process, which is quicker."""
        printed, shell = [], list[str]()
        for line in [*block.text.splitlines(), "clonewatch"]:
            if line.split(" ")[0] != "clonewatch":
                shell.append(line)
                continue
            if shell:
                printed.append(self.shell("\n".join(shell)))
                shell = []
            if line != "clonewatch":
                done = CliRunner().invoke(app, shlex.split(line)[1:])
                assert done.exit_code == 0, f"{line}\n{done.output}"
                printed.append(done.stdout)
        return printed

    def shell(self, text: str) -> str:
        """What commands print. What they leave running writes elsewhere."""
        places = (Path(sys.executable).parent, os.environ["PATH"], "/usr/sbin", self._programs)
        env = {**os.environ, "PATH": os.pathsep.join(map(str, places))}
        env["PYTHONPATH"] = str(ROOT / "packages" / "gateway" / "src")
        out, said = self.folder / "stdout", self.folder / "stderr"
        with out.open("w") as written, said.open("w") as errors:
            done = subprocess.run(
                ["sh", "-ec", text], cwd=self.folder, env=env, stdout=written, stderr=errors, timeout=200
            )
        assert done.returncode == 0, f"{text}\n{out.read_text()}\n{said.read_text()}\n{self._logs()}"
        return out.read_text()

    def _logs(self) -> str:
        return "\n".join(f"{p.name}: {p.read_text()[-800:]}" for p in self.folder.glob("*.log"))

    def stop(self) -> None:
        """End what a page that failed half way left running, each by the number that it wrote down."""
        for file in self.folder.glob("*.pid"):
            self.shell(f"kill $(cat {file.name}) 2>/dev/null || true")


def same(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, to in RUN:
        text = re.sub(pattern, to, text)
    return text
