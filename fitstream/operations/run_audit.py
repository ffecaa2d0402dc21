"""`fitstream audit`: prove the chain, or seal now."""

import asyncio
from collections.abc import Mapping

import click
import msgspec

from fitstream.errors import FitstreamError
from fitstream.operations.audit import Verified, parse_head, seal, verify
from fitstream.repo.database import open_repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings, SettingsError, load

CLEAN, BROKEN, COULD_NOT_LOOK = 0, 1, 2


def run_audit_verify(environ: Mapping[str, str], head: str | None, as_json: bool) -> int:
    """The exit code: 0 the chain holds, 1 it does not, 2 could not look."""
    try:
        found = asyncio.run(_verify(load(environ), head))
    except (SettingsError, FitstreamError) as error:
        click.echo(f"could not look: {error}", err=True)
        return COULD_NOT_LOOK
    click.echo(msgspec.json.encode(found).decode() if as_json else _shown(found))
    return BROKEN if found.problems else CLEAN


async def run_seal(settings: Settings) -> int:
    """Seals what is not sealed yet; how many entries."""
    async with open_repo(settings) as repo:
        return await seal(repo, master_keys(settings))


async def _verify(settings: Settings, head: str | None) -> Verified:
    async with open_repo(settings) as repo:
        return await verify(repo, master_keys(settings), parse_head(head) if head else None)


def _shown(found: Verified) -> str:
    lines = [f"{found.entries} entries in {found.seals} links, {found.unsealed} not sealed yet"]
    if found.dropped:
        lines.append(f"{found.dropped} older ones were dropped on purpose, as an anchor says")
    if found.head:
        lines.append(f"newest link {found.head}: note it elsewhere, and give it as --head")
    lines += [f"BROKEN {problem}" for problem in found.problems]
    return "\n".join(lines)
