"""The page in a real browser: it asks, draws, obeys the keyboard, fits a phone and the dark."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from tests.common.browser import Browser, find_chromium
from tests.common.servers import running_server

from bertram.prediction.load import load
from bertram.prediction.model import Model
from bertram.runs.directory import Run
from bertram.serving.about import describe
from bertram.serving.app import create_app
from bertram.serving.examples import OPINION_PAIRS
from bertram.serving.messages import Limits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed"),
]
DONE = "document.querySelectorAll('.result').length && !document.querySelector('.waiting')"
CARDS = "[...document.querySelectorAll('.result')].map((one) => one.dataset.task).join()"
CTRL = 2


@pytest.fixture(scope="module")
def model(run: Run) -> Model:
    found = load(run)
    assert isinstance(found, Model)
    return found


@pytest.fixture(scope="module")
def address(run: Run, model: Model) -> Iterator[str]:
    limits = Limits(characters=200)
    with running_server(create_app(model, describe(run, model.tasks, limits), limits), limits) as where:
        yield where


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def at(address: str, **state: str) -> str:
    return f"{address}/#{urlencode(state)}"


def test_at_first_all_tasks_answer_an_example_and_nobody_else_is_asked(
    browser: Browser, address: str, model: Model
) -> None:
    browser.open(address)
    browser.until(DONE)
    assert browser.run(CARDS) == "sst,quora,sts"
    [sentiment] = model.predict("sst", [OPINION_PAIRS[0][0]])
    label = model.tasks["sst"].class_names[int(sentiment.value)]
    assert browser.run("document.querySelector('[data-task=sst] .verdict').textContent") == label
    [score] = model.predict("sts", [(OPINION_PAIRS[0][0], OPINION_PAIRS[0][1])])
    assert browser.run("document.querySelector('.number').textContent") == f"{score.value:.2f}"
    assert browser.run("document.querySelectorAll('[data-task=sst] .bar').length") == 5
    assert {url for url in browser.requests() if not url.startswith((address, "data:", "about:"))} == set()
    assert browser.console_errors() == []
    asked = [url.removeprefix(address) for url in browser.requests() if "/predict" in url]
    assert sorted(asked) == ["/predict", "/predict/sst"]  # quora and sts read the same pair


def test_bars_are_as_long_as_their_probabilities(browser: Browser, address: str, model: Model) -> None:
    browser.open(at(address, task="sst", first="a fine film"))
    browser.until(DONE)
    [wanted] = model.predict("sst", ["a fine film"])
    shares = browser.run("[...document.querySelectorAll('.bar')].map((bar) => parseFloat(getComputedStyle(bar, "
                         "'::before').width) / bar.clientWidth)")  # fmt: skip
    assert shares == pytest.approx(wanted.probabilities, abs=0.01)


def test_the_keyboard_alone_is_enough(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.until(DONE)
    browser.run("document.querySelector('#tasks input').focus()")
    browser.press("ArrowRight", 39)
    browser.until(f"{DONE} && {CARDS} === 'sst'")
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.id") == "first"
    browser.run("document.activeElement.select()")
    browser.type("dreadful")
    browser.press("Enter", 13, CTRL)
    browser.until(f"{DONE} && document.getElementById('curl').textContent.includes('dreadful')")
    assert browser.run("document.getElementById('first').value") == "dreadful"


def test_it_answers_while_one_types_and_asks_for_a_second_text(browser: Browser, address: str) -> None:
    browser.open(at(address, task="quora", first="", second=""))
    browser.until("!!document.querySelector('.missing')")
    browser.run("document.getElementById('first').focus()")
    browser.type("How do I learn to swim?")
    browser.until("document.querySelector('.result .missing')?.textContent.includes('second')")
    browser.run("document.getElementById('second').focus()")
    browser.type("How can I learn swimming?")
    browser.until("!!document.querySelector('.result .split')")


def test_an_example_is_taken_with_a_click(browser: Browser, address: str) -> None:
    browser.open(at(address, task="sts"))
    browser.until(DONE)
    browser.run("document.querySelectorAll('#examples button')[2].click()")
    browser.until("document.getElementById('first').value.includes('dog')")
    browser.until(f"{DONE} && document.getElementById('curl').textContent.includes('dog')")


def test_texts_are_shown_as_texts(browser: Browser, address: str) -> None:
    hostile = "<img src=x onerror='document.title=`taken`'> it's \\ \"quoted\""
    browser.open(at(address, task="sst", first=hostile))
    browser.until(DONE)
    assert browser.run("document.querySelector('img')") is None
    assert browser.run("document.title") == "BERTram"
    quoted = "it'\\''s"
    assert quoted in browser.run("document.getElementById('curl').textContent")


def test_what_the_server_refuses_is_shown_in_its_words(browser: Browser, address: str) -> None:
    browser.open(at(address, task="sst", first="long " * 50))
    says = browser.until("!document.getElementById('problem').hidden && document.getElementById('problem').textContent")
    assert says == "sst: input 0: 250 characters; at most 200 in one text"


def test_it_fits_a_phone(browser: Browser, address: str) -> None:
    browser.open(address, width=360, height=740)
    browser.until(DONE)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.run("document.getElementById('predict').offsetHeight") >= 40
    order = browser.run("['predict', 'results', 'examples'].map((id) => "
                        "document.getElementById(id).getBoundingClientRect().top)")  # fmt: skip
    assert order == sorted(order)
    assert browser.run("document.getElementById('latency').offsetHeight") > 0


@pytest.mark.slow
def test_dark_is_taken_from_the_system_and_kept_when_chosen(browser: Browser, address: str) -> None:
    light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every((part) => part > 128)"
    browser.open(address, dark=True)
    browser.until(DONE)
    assert browser.run(light) is False
    browser.run("document.getElementById('theme').click()")
    assert browser.run(light) is True
    browser.open(address, dark=True)
    browser.until(DONE)
    assert browser.run(light) is True
    browser.run("localStorage.clear()")


@pytest.mark.slow
def test_a_server_that_is_gone_is_told(browser: Browser, run: Run, model: Model) -> None:
    limits = Limits()
    with running_server(create_app(model, describe(run, model.tasks, limits), limits), limits) as where:
        browser.open(where)
        browser.until(DONE)
    browser.run("document.getElementById('predict').click()")
    browser.until("document.getElementById('problem').textContent === 'The server does not answer.'")
