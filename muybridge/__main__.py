"""`python -m muybridge`: the command where its script is not on the path."""

from muybridge.cli import main

main()
