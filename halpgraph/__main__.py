"""``python -m halpgraph``: the command line."""

from halpgraph.cli import main

main()
