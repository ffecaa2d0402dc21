"""The shell blocks of the documents that are marked `<!-- run -->` do what is said there."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import RunningStack

pytestmark = pytest.mark.stack
DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"<!-- run(?:: (\d{3}))? -->\n```sh\n(.*?)```", re.DOTALL)
TIMEOUT_S = 180

# `curl` of the document, with its status noted: a block passes when all of its calls answer as
# they should, also those whose output is piped on. A busy machine may answer 503 at first, as
# the document says.
PRELUDE = """
set -euo pipefail
: > statuses
curl() { command curl --fail --max-time 20 --retry 5 --write-out '%{stderr}%{http_code}\\n' \
    "$@" 2>> statuses || true; }
"""
CHECK = """
echo; echo "--- block {number}"
if grep --invert-match '^{expected}' statuses; then
    echo "block {number}: not answered {expected}"; exit 1
fi
: > statuses
"""


class Block(NamedTuple):
    """A block and the status that its calls answer: 2xx, or the one in its mark."""

    expected: str
    text: str


def blocks(name: str) -> list[Block]:
    """Marked blocks in the order of the document."""
    text = (DOCS / name).read_text()
    return [Block(found[1] or "2..$", found[2]) for found in BLOCK.finditer(text)]


def script(name: str) -> str:
    """All blocks as one script: later ones use what earlier ones set."""
    parts = [PRELUDE]
    for number, block in enumerate(blocks(name), 1):
        parts += [block.text, CHECK.format(number=number, expected=block.expected)]
    return "".join(parts)


@pytest.mark.parametrize(("name", "least"), [("api.md", 15), ("android.md", 8)])
async def test_every_marked_block_runs(
    stack: RunningStack, tmp_path: Path, name: str, least: int
) -> None:
    assert len(blocks(name)) >= least
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine: apt-get install curl")
    python = str(Path(sys.executable).parent)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script(name),
        cwd=tmp_path,
        env={
            "PATH": f"{python}:{os.environ['PATH']}",
            "GATEWAY": stack.gateway,
            "ADMIN_KEY": stack.admin_key,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        output, _ = await process.communicate()
    said = f"{output.decode()[-4000:]}\nlast answers: {(tmp_path / 'statuses').read_text()}"
    assert process.returncode == 0, said
    week = tmp_path / "week.parquet"
    assert name != "api.md" or week.read_bytes()[:4] == b"PAR1"
