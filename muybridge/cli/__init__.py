"""The command line: arguments in, one call below.

Exit codes: 0 done, 1 our fault, 2 the user's input, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys

import typer

from muybridge.errors import MuybridgeError

GROUPS = (
    "generate",
    "serve",
    "keys",
    "jobs",
    "verify",
    "plan",
    "route",
    "weights",
    "train",
    "evaluate",
    "drift",
    "world",
    "doctor",
)


def build(groups: tuple[str, ...] = GROUPS) -> typer.Typer:
    """The application with every group's verbs; each group is a module here with `register(app)`."""
    app = typer.Typer(
        help="Make video with its sound: text, pictures, clips or a voice in; an MP4 out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_version)
    for name in groups:
        importlib.import_module(f"muybridge.cli.{name}").register(app)
    return app


def main() -> None:
    """Entry point of `muybridge`."""
    try:
        build()()
    except MuybridgeError as error:
        # One line of fact and remedy; a traceback would hide it.
        print(f"muybridge: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("muybridge: interrupted", file=sys.stderr)
        sys.exit(130)


def _show_version(value: bool) -> None:
    if value:
        from muybridge import __version__

        print(__version__)
        raise typer.Exit


def _version(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Shown by `--help`; the verbs do the work."""
    del version
