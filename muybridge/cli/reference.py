"""The command-line reference as Markdown, made from the program itself: `python -m muybridge.cli.reference`.

A test compares it with docs/reference/cli.md, so the page cannot drift.
"""

from __future__ import annotations

from typing import Any

import typer.main

from muybridge.cli import build


def render() -> str:
    """Every verb with its arguments and options, in the order of the program."""
    parts = ["# Command line", "", "Made by `python -m muybridge.cli.reference > docs/reference/cli.md`.", ""]
    parts += ["Exit codes: 0 done, 1 our fault, 2 the user's input, 130 interrupted.", ""]
    root: Any = typer.main.get_command(build())
    stack = [(f"muybridge {name}", command) for name, command in root.commands.items()]
    while stack:
        path, command = stack.pop(0)
        children = getattr(command, "commands", {})
        if children:
            stack = [(f"{path} {name}", child) for name, child in children.items()] + stack
            continue
        parts += [f"## {path}", "", (command.help or "").strip(), ""]
        rows = [_row(p) for p in command.params if p.name != "help"]
        if rows:
            parts += ["| argument | meaning |", "|---|---|", *rows, ""]
    return "\n".join(parts)


def _row(parameter: Any) -> str:  # noqa: ANN401  (click's parameter classes)
    name = parameter.name.upper() if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
    text = " ".join((getattr(parameter, "help", "") or "").split())
    default = parameter.default
    if default not in (None, False, ()) and not callable(default):
        text += f" Default: {getattr(default, 'value', default)}."
    return f"| `{name}` | {text.replace('|', '/')} |"


if __name__ == "__main__":
    print(render())
