"""``bertram recipes``."""

import sys

from cyclopts import App

EXAMPLES = """Examples:

  bertram recipes                            names and descriptions
  bertram recipes best > mine.toml           one recipe as a file to edit
  bertram train --config mine.toml --out RUN
"""

app = App(name="recipes", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def recipes(name: str | None = None) -> None:
    """List the recipes, or show one in full as TOML.

    Parameters
    ----------
    name
        Recipe to show.
    """
    from bertram import options  # noqa: PLC0415  (pydantic loads only now)
    from bertram.cli.layout import columns  # noqa: PLC0415
    from bertram.minbert import catalogue  # noqa: PLC0415
    from bertram.options.help import wrapped  # noqa: PLC0415
    from bertram.recipes import RECIPES as GENERAL  # noqa: PLC0415

    if name is not None:
        sys.stdout.write(options.to_toml(catalogue.recipe(name)))
        return
    described = {name: (recipe.__doc__ or "").splitlines()[0] for name, recipe in catalogue.RECIPES.items()}
    rows = [(name, text) for name, text in described.items() if name not in GENERAL]
    general = [(name, described[name]) for name in GENERAL]
    for heading, items in (("General recipes", general), ("Experiments of the study", rows)):
        sys.stdout.write("\n".join([heading, "", *wrapped(items, columns()), "", ""]))
