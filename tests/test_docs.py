"""The documents say what the program does: the command reference, links, and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_command_reference_is_the_program_s_own() -> None:
    from muybridge.cli.reference import render

    written = (ROOT / "docs/reference/cli.md").read_text()
    assert written.strip() == render().strip(), "run: python -m muybridge.cli.reference > docs/reference/cli.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_pages_exist(page: Path) -> None:
    import typer.main

    from muybridge.cli import build

    verbs = set(getattr(typer.main.get_command(build()), "commands", {}))
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(), re.DOTALL):
        for verb in re.findall(r"^(?:\$ )?(?:\S*/)?muybridge ([a-z]+)", block, re.MULTILINE):
            assert verb in verbs, f"{page.name} names `muybridge {verb}`"
