"""The command line: parses and prints, never computes. Nothing heavy is imported until needed."""

from __future__ import annotations

import sys

import typer

from halpgraph.commands import catalogue, data, embeddings, ensemble, runs
from halpgraph.errors import HalpgraphError

app = typer.Typer(
    help="Self-supervised learning on graphs and skeletons: pre-train, evaluate, report.",
    epilog="Example: halpgraph run recipes/graphcl_mutag.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
runs.add_to(app)
catalogue.add_to(app)
app.add_typer(data.app, name="data")
embeddings.add_to(app)
ensemble.add_to(app)


def main() -> None:
    """Run the command line; exit 0 when all went well, 2 for a user's error, 1 for a failure."""
    try:
        app()
    except HalpgraphError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
