"""What `import bertram` gives: the names of the contract, found when they are used, and nothing heavy before."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import bertram

CONTRACT = {
    *("load_encoder", "load", "train", "crossval", "evaluate", "compare", "recipe", "change"),
    *("surgery", "smart", "optimizer"),
    *("Config", "Task", "Run", "Model", "Prediction", "Verdict", "SST", "QUORA", "STS"),
    *("BertramError", "ConfigError", "DataError", "RunError", "TrainingError", "WeightsError"),
    "__version__",
}


def test_exactly_the_names_of_the_contract_are_exported() -> None:
    assert set(bertram.__all__) == CONTRACT
    assert dir(bertram) == sorted(CONTRACT)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(bertram, name) is not None


def test_the_version_is_that_of_the_installed_package() -> None:
    assert bertram.__version__ == version("bertram")


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        bertram.trian  # noqa: B018


def test_names_are_listed_without_loading_anything_heavy() -> None:
    code = "import sys, bertram; dir(bertram); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pydantic", "polars", "rich", "importlib.metadata"} & set(loaded)


def test_errors_a_user_can_act_on_have_one_base() -> None:
    kinds = (bertram.ConfigError, bertram.DataError, bertram.RunError, bertram.TrainingError, bertram.WeightsError)
    assert all(issubclass(kind, bertram.BertramError) for kind in kinds)
