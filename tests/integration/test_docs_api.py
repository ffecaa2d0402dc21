"""The shell blocks of docs/api.md that are marked `<!-- run -->` do what the document says."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import RunningStack

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"<!-- run(?:: (\d{3}))? -->\n```sh\n(.*?)```", re.DOTALL)
TIMEOUT_S = 90

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
    echo "block {number} of docs/api.md: not answered {expected}"; exit 1
fi
: > statuses
"""


class Block(NamedTuple):
    """A block and the status that its calls answer: 2xx, or the one in its mark."""

    expected: str
    text: str


def blocks() -> list[Block]:
    """Marked blocks in the order of the document."""
    return [Block(found[1] or "2..$", found[2]) for found in BLOCK.finditer(DOCUMENT.read_text())]


def script() -> str:
    """All blocks as one script: later ones use what earlier ones set."""
    parts = [PRELUDE]
    for number, block in enumerate(blocks(), 1):
        parts += [block.text, CHECK.format(number=number, expected=block.expected)]
    return "".join(parts)


async def test_every_marked_block_runs(stack: RunningStack, tmp_path: Path) -> None:
    assert len(blocks()) > 15
    python = str(Path(sys.executable).parent)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script(),
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
    assert (tmp_path / "week.parquet").read_bytes()[:4] == b"PAR1"
