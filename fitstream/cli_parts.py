"""What commands share: options that several have, where they run, how they complain."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from types import ModuleType

    from fitstream.settings import Settings

T = TypeVar("T")
N = TypeVar("N", int, float)
PORT = click.IntRange(1, 65_535)
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Speak to the stack that `fitstream up` runs on this directory.",
)


def target(command: "Callable[..., None]") -> "Callable[..., None]":
    """Options that name an API: a stack's folder, or an address with a key."""
    key = click.option("--key", envvar="ADMIN_KEY", help="An administrator's key.")
    url = click.option("--url", help="Address of a gateway.")
    return DATA(url(key(command)))


def number(text: str, kind: "type[N]", option: str) -> "N":
    """`text` as a number; a wrong one ends the command with the name of its option."""
    try:
        return kind(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a number", param_hint=option) from error


def local_part(module: str) -> "ModuleType":
    """A module that needs the extra `local`; without it the command ends with what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "fitstream":
            raise
        text = f"{error.name} is missing: install fitstream[local], which runs services here"
        raise click.ClickException(text) from error


def run(
    name: str,
    main: "Callable[[Settings, asyncio.Event], Awaitable[None]]",
    data: Path | None,
) -> None:
    """Runs a process to its end, and exits with its code."""
    from fitstream.process import run as run_process

    sys.exit(run_process(name, main, environ(data)))


def environ(data: Path | None) -> dict[str, str]:
    """The environment, with the addresses of the stack on `data` below what is set by hand."""
    if data is None:
        return dict(os.environ)
    from fitstream.stack.run_file import environ_of

    return or_complain(lambda: environ_of(data)) | dict(os.environ)


def or_complain(call: "Callable[[], T]") -> "T":
    """What `call` returns; an error of ours or of the machine ends the command with its words."""
    from fitstream.errors import FitstreamError

    try:
        return call()
    except (FitstreamError, OSError) as error:
        raise click.ClickException(str(error)) from error
