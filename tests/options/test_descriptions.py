"""Every option of every command has a description, in plain words."""

import inspect
from collections import Counter
from importlib import import_module

import pytest
from cyclopts import App

from bertram import options
from bertram.cli.main import COMMANDS

HIDDEN = {"words"}  # takes the fields of the configuration
LONG = 40  # characters of a description


def commands() -> list[App]:
    apps = [import_module(f"bertram.cli.{name}").app for name in COMMANDS]
    leaves = [app for app in apps if app.default_command is not None]
    return leaves + [app[name] for app in apps if app.default_command is None for name in app if name[0] != "-"]


def described(docstring: str) -> dict[str, str]:
    """Names and texts of the section Parameters of a docstring."""
    texts: dict[str, str] = {}
    name = ""
    for line in docstring.partition("----------\n")[2].splitlines():
        if line and line[0] != " ":
            name = line
        elif line.strip():
            texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


@pytest.mark.parametrize("app", commands(), ids=lambda app: app.name[0])
def test_every_parameter_of_a_command_is_described(app: App) -> None:
    assert app.default_command is not None
    arguments = [argument for argument in app.assemble_argument_collection(parse_docstring=True) if argument.show]
    texts = {argument.name: argument.parameter.help or "" for argument in arguments}
    assert texts
    assert not [name for name, text in texts.items() if not text.endswith(".") or text[0] in " ,"]
    entries = described(inspect.getdoc(app.default_command) or "")
    assert set(entries) <= set(inspect.signature(app.default_command).parameters) - HIDDEN


def test_descriptions_of_shared_options_are_written_once() -> None:
    """Longer texts of one option are in `bertram.cli.arguments`, not in the docstrings of several commands."""
    entries = [
        (name, text)
        for app in commands()
        for name, text in described(inspect.getdoc(app.default_command) or "").items()
        if len(text) > LONG
    ]
    assert not [entry for entry, count in Counter(entries).items() if count > 1]


@pytest.mark.parametrize("app", commands(), ids=lambda app: app.name[0])
def test_examples_fit_into_80_columns(app: App) -> None:
    examples, _, _ = str(app.help_epilogue).partition("Fields of the configuration")  # wrapped by the terminal
    lines = examples.splitlines()
    assert [line for line in lines if line.startswith(" ") and len(line) > 80] == []


def test_every_field_of_the_configuration_is_described() -> None:
    bare = [option.name for option in options.fields() if len(option.description.split()) < 2]
    assert not bare


def test_every_number_has_a_range() -> None:
    unlimited = {option.name for option in options.fields() if option.type in ("number", "integer")}
    assert not unlimited
