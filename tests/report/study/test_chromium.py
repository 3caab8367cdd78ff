"""The page in a real browser: answered with the keyboard, paused, resumed, saved, and read back."""

from __future__ import annotations

import json
import time

import pytest

from mi_lightning.report.study import Plan, build_study, human_judgement, read_answers, read_key
from tests.report.study.browser import CHROMIUM, chromium
from tests.report.study.conftest import write_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium (Debian: apt-get install chromium)")

BOUNCE = 0.16  # seconds that the page waits before it takes another answer


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
    assert browser.errors == []
    assert {address.partition(":")[0] for address in browser.requests} == {"file"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of ten people, and its key."""
    folder = tmp_path_factory.mktemp("study")
    made = build_study([write_run(folder / "run", people=10)], folder / "study.html", plan=Plan(people=6))
    return made, read_key(made.key)


def begin(browser, page, code, **screen):
    browser.open(page, **screen)
    browser.run(f"document.getElementById('judge').value = {json.dumps(code)}")
    browser.click("#begin .go")
    browser.wait("!document.getElementById('ask').hidden")


def asked(browser):
    """Item that is asked about, and its options in their order, by what is on the screen."""
    return browser.run(
        """(() => {
        const study = JSON.parse(document.getElementById("study-data").textContent);
        const name = (element) => Object.keys(study.samples).filter((key) => study.samples[key] === element.src);
        const kind = document.getElementById("stage").classList.contains("pair") ? "same_person" : "line_up";
        const shown = name(document.querySelector("#shown :is(img, audio)"));
        const options = [...document.querySelectorAll("#options :is(img, audio)")].map(name);
        const [question] = study.questions.filter((q) => q.kind === kind && shown.includes(q.shown)
          && q.options.every((option) => options.some((names) => names.includes(option))));
        return [question.item, options.map((names) => names.find((n) => question.options.includes(n)))];
        })()"""
    )


def answer_by_keys(browser, key, count, choose):
    """Answer so many questions with the keyboard; `choose` gives the key for an item and its options in their order."""
    given = {}
    for _ in range(count):
        item, options = asked(browser)
        pressed, meant = choose(key.questions[item], options)
        time.sleep(BOUNCE)
        browser.press(pressed)
        given[item] = meant
    return given


def rightly(question, options):
    """The key of the right answer."""
    letters = {"same": "s", "different": "d", "none": "n"}
    answer = question["answer"]
    return (letters[answer] if answer in letters else str(options.index(answer) + 1)), answer


def text(browser, selector):
    return browser.run(f"document.querySelector({json.dumps(selector)}).textContent")


def test_answered_by_keyboard_saved_and_read_back(browser, study):
    made, key = study
    begin(browser, made.page, "anna")
    given = answer_by_keys(browser, key, made.questions, rightly)
    browser.wait("!document.getElementById('rest').hidden")
    assert text(browser, "#rest-title") == "Thank you"
    browser.click("#save")
    path = browser.downloaded("answers_anna.json")
    data = json.loads(path.read_text())
    assert set(data) == {"schema_version", "study", "judge", "finished", "answers"}
    assert (data["judge"], data["finished"], data["study"]) == ("anna", True, made.study)
    assert len(data["answers"]) == made.questions == 16
    assert all(BOUNCE * 500 < each["milliseconds"] < 60000 for each in data["answers"])
    [answers] = read_answers([path], key)
    assert answers.answer == given
    found = human_judgement([answers], key)
    assert found["judges"][0]["checks_failed"] == 0
    assert found["runs"][0]["identified"]["share"] == found["runs"][0]["hits"]["share"] == 1


def test_paused_and_resumed_with_the_answers_so_far(browser, study):
    made, key = study
    begin(browser, made.page, "bert")
    first = answer_by_keys(browser, key, 3, lambda _, options: ("1", options[0] if len(options) > 1 else "same"))
    browser.press("p")
    assert "3 of 16 questions are answered" in text(browser, "#rest-words")
    browser.open(made.page)  # as after the browser was closed
    assert "Go on as bert (3 of 16)" in text(browser, "#kept")
    browser.run("[...document.querySelectorAll('#kept button')].find((b) => b.textContent.includes('bert')).click()")
    assert text(browser, "#count") == "4 of 16"
    browser.press("ArrowLeft")
    item, _ = asked(browser)
    assert text(browser, "#count") == "3 of 16"
    assert browser.run("document.querySelectorAll('#ask [aria-pressed=true]').length") == 1
    time.sleep(BOUNCE)
    browser.press("2")  # another answer to the third
    browser.press("p")
    browser.click("#save")
    data = json.loads(browser.downloaded("answers_bert.json").read_text())
    assert not data["finished"]
    saved = {each["item"]: each["answer"] for each in data["answers"]}
    assert set(saved) == set(first)
    assert {name: saved[name] == first[name] for name in first} == {name: name != item for name in first}


def test_each_judge_has_an_order_of_their_own_and_always_the_same(browser, study):
    made, key = study

    def order(code):
        begin(browser, made.page, code)
        browser.run("localStorage.clear()")
        seen = []
        for _ in range(made.questions):
            seen.append(asked(browser))
            time.sleep(BOUNCE)
            browser.press("1")
        browser.run("localStorage.clear()")
        return seen

    cleo, again, dora = order("cleo"), order("cleo"), order("dora")
    assert cleo == again
    assert [item for item, _ in cleo] != [item for item, _ in dora]
    assert {item for item, _ in cleo} == {item for item, _ in dora} == set(key.questions)
    line_ups = {item: options for item, options in dora if len(options) > 1}
    assert any(options != line_ups[item] for item, options in cleo if item in line_ups)


def test_a_key_that_bounces_answers_one_question(browser, study):
    begin(browser, study[0].page, "fast")
    time.sleep(BOUNCE)
    browser.run(
        "for (let i = 0; i < 2; i++) document.dispatchEvent(new KeyboardEvent('keydown', {key: '1', code: 'Digit1'}))"
    )
    assert text(browser, "#count") == "2 of 16"
    browser.press("ArrowRight")  # no way past a question that is not answered
    assert text(browser, "#count") == "2 of 16"


def test_a_code_must_be_no_name(browser, study):
    browser.open(study[0].page)
    browser.run("document.getElementById('judge').value = 'Anna Smith'")
    browser.click("#begin .go")
    assert browser.run("document.getElementById('ask').hidden")
    browser.click("#draw")
    assert browser.run("/^[a-z0-9]{8}$/.test(document.getElementById('judge').value)")


@pytest.mark.parametrize("code", ["gina", "hans", "ivan"])
def test_a_phone_shows_a_question_without_scrolling(browser, study, code):
    begin(browser, study[0].page, code, width=390, height=844, phone=True)
    for _ in range(2):
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        bottom = browser.run(
            "Math.max(...[...document.querySelectorAll('#ask button')].map(b => b.getBoundingClientRect().bottom))"
        )
        assert bottom <= 844
        small = browser.run("Math.min(...[...document.querySelectorAll('#ask button')].map(b => b.offsetHeight))")
        assert small >= 36
        time.sleep(BOUNCE)
        browser.press("1")


def test_voices_are_played_and_judged(browser, tmp_path):
    made = build_study([write_run(tmp_path / "run", people=8, voices=True)], tmp_path / "v.html", plan=Plan(people=4))
    key = read_key(made.key)
    begin(browser, made.page, "vera")
    browser.run("document.activeElement.blur()")
    browser.press(" ")
    browser.wait("document.querySelector('#shown audio').currentTime > 0")
    given = answer_by_keys(browser, key, made.questions, rightly)
    browser.click("#save")
    [answers] = read_answers([browser.downloaded("answers_vera.json")], key)
    assert answers.answer == given
