"""Help: every option is described, and its value is the one that the recipe would use."""

import re

import pytest
from tests.common.commands import call

from bertram import options, recipe
from bertram.cli.settings import resolved
from bertram.config import Config
from bertram.minbert.catalogue import RECIPES
from bertram.options.help import option_help, values_of
from bertram.options.schema import value_text

PER_TASK = re.compile(r"^ {6}\[(\w+: .*)\]$")
OPTION = re.compile(r"^  --(\S+)  .*?(?:  \[(.*)\])?$")


def shown_values(text: str) -> dict[str, str]:
    """Dotted name and value of each option in a help text; options of a task for each task."""
    values: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if option := OPTION.match(line):
            name = option[1]
            if option[2] is not None:
                values[name] = option[2]
        elif per_task := PER_TASK.match(line):
            for part in per_task[1].split("; "):
                task, _, value = part.partition(": ")
                values[name.replace("NAME", task)] = value
    return values


def check(text: str, config: Config) -> None:
    """Every value that help shows is that of the configuration, and every option has one."""
    values = shown_values(text)
    used = {
        name: value_text(value) for name, value in options.leaves(config.model_dump(mode="json", exclude={"tasks"}))
    }
    for task, fields in config.model_dump(mode="json")["tasks"].items():
        exclude = fields["extra"].pop("exclude") if fields["extra"] else {}
        used |= {f"tasks.{task}.{name}": value_text(value) for name, value in options.leaves(fields)}
        if fields["extra"]:
            used[f"tasks.{task}.extra.exclude"] = value_text(exclude)
    wrong: dict[str, tuple[str | None, str]] = {}
    for name, value in used.items():
        general = re.sub(r"^tasks\.[^.]+", "tasks.NAME", name)
        if general not in ("tasks.NAME.name", "tasks.NAME.hub", "tasks.NAME.extra", "tasks.NAME.unlabelled"):
            told = values.get(name, values.get(general))
            wrong |= {} if told == value else {name: (told, value)}
    assert not wrong
    assert len(used) > 60


@pytest.mark.parametrize("name", RECIPES)
def test_help_shows_the_values_of_the_recipe(name: str) -> None:
    check(option_help(recipe(name), 10_000), recipe(name))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "cross"),
        (["--data", "DIR"], "best"),
        (["--recipe", "e12"], "e12"),
        (["--recipe=quick", "--data", "DIR", "--seed", "7"], "quick"),
    ],
    ids=str,
)
def test_the_help_of_train_is_that_of_the_recipe_that_would_run(words: list[str], expected: str) -> None:
    code, out, err = call("train", *words, "--help")
    assert (code, err) == (0, "")
    values = shown_values(out)
    config = resolved(None, None, [word for part in words for word in part.split("=")] if words else [])
    assert values["recipe"] == expected
    assert values["optimizer.lr"] == str(recipe(expected).optimizer.lr)
    assert values["data"] == config.data
    assert values["seed"] == str(config.seed)


def test_the_help_of_train_takes_a_file_into_account(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.toml"
    path.write_text('[tasks.mood]\nkind = "binary"\nfiles.texts = ["text"]\n[optimizer]\nlr = 0.5\n')
    code, out, _ = call("train", "--help", "--config", path)
    assert code == 0
    assert shown_values(out)["optimizer.lr"] == "0.5"
    assert shown_values(out)["tasks.NAME.files.texts"] == "text"


def test_help_of_an_unknown_recipe_names_a_similar_one() -> None:
    assert call("train", "--recipe", "crss", "--help") == (
        1,
        "",
        "bertram: unknown recipe 'crss'; did you mean cross?\n",
    )


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_of_help_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, option_help(recipe("best"), width).splitlines())) <= width


def test_options_of_tasks_without_a_table_are_left_out() -> None:
    share = next(option for option in options.fields() if option.name == "tasks.NAME.extra.share")
    assert values_of(share, recipe("best")) == {"sst": "0.75"}


def test_the_recipes_are_named_in_a_short_list() -> None:
    _, out, _ = call("train", "--help")
    assert "Recipes: quick, best, best-distilled, best-mpnet, best-base, cross, baseline" in " ".join(out.split())
    assert "e11" not in out


def test_recipes_are_listed_with_their_descriptions() -> None:
    code, out, err = call("recipes")
    assert (code, err) == (0, "")
    names = re.findall(r"^  (\S+)$", out, re.MULTILINE)
    assert sorted(names) == sorted(RECIPES)
    described = re.findall(r"^  \S+\n      [A-Z].*", out, re.MULTILINE)
    assert len(described) == len(names)


def test_a_recipe_is_shown_in_full() -> None:
    assert call("recipes", "quick") == (0, options.to_toml(recipe("quick")), "")
    assert call("recipes", "quik") == (1, "", "bertram: unknown recipe 'quik'; did you mean quick?\n")
