"""The page in a real Chromium: what it looks like on a phone, in the dark and on paper, and what its script does."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from mi_lightning.report import build_report
from tests.report.conftest import audit_of, make_result, recognise

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium (apt-get install chromium)")


def run_browser(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start Chromium without a window; it writes into ``folder`` alone."""
    assert BROWSER is not None
    settings = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--hide-scrollbars", "--allow-file-access-from-files", "--enable-logging=stderr"),
        *("--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder / 'profile'}"),
    )
    with TemporaryDirectory() as short:  # for its socket, whose path may have no more than 107 letters
        return subprocess.run(
            [BROWSER, *settings, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TMPDIR": short},
        )


def complaints(finished: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines that pages wrote on the console."""
    return [line for line in finished.stderr.splitlines() if ":CONSOLE" in line]


def ask(page: Path, script: str, *flags: str, width: int = 1280) -> Any:
    """What a script, the body of an asynchronous function of the page's ``window`` and ``document``, returns.

    The page stands in a frame, since a window cannot be narrower than 500 pixels.
    """
    folder = page.parent / "browser"
    folder.mkdir(exist_ok=True)
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f"""<!doctype html><body>
        <iframe src="../{page.name}" style="width:{width}px;height:800px;border:0"></iframe><script>
        const frame = document.querySelector("iframe");
        frame.onload = async () => {{
          const answer = await (async (window, document) => {{ {script} }})(frame.contentWindow, frame.contentDocument);
          document.body.dataset.answer = JSON.stringify(answer);
        }};</script>""")
    return answer(run_browser(folder, "--dump-dom", "--virtual-time-budget=20000", *flags, wrapper.as_uri()))


def answer(finished: subprocess.CompletedProcess[str]) -> Any:
    """What the script of a test left on its page."""
    assert complaints(finished) == []
    found = re.search(r'data-answer="([^"]*)"', finished.stdout)
    assert found, "the script of the test came to no answer"
    return json.loads(html.unescape(found[1]))


@pytest.fixture
def page(run_folder, tmp_path) -> Path:
    """Two runs of pictures, the first with snapshots over time."""
    first, second = recognise(run_folder("first_of_a_long_name")), recognise(run_folder("second"))
    path = first / "reconstructions.npz"
    arrays = dict(np.load(path))
    arrays["timeline"] = np.stack([np.full((2, 12, 10), level, np.uint8) for level in (0, 90, 255)])
    arrays["timeline_iteration"] = np.array([0, 10, 20])
    np.savez(path, **arrays)
    names = ["first_of_a_long_name", "second"]
    return build_report([first, second], tmp_path / "report.html", names=names, audit=audit_of(names))


def test_the_harness_sees_an_error_of_a_page(tmp_path):
    broken = tmp_path / "report.html"
    broken.write_text("<!doctype html><script>nothing.at.all()</script>")
    with pytest.raises(AssertionError, match="nothing is not defined"):
        ask(broken, "return 1")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_sideways(page, width):
    found = ask(
        page,
        """for (const part of document.querySelectorAll("details")) part.open = true;
        const wide = [...document.querySelectorAll("body *")].filter((part) => {
          const box = part.getBoundingClientRect();
          return box.right > window.innerWidth + 1 && box.width && !part.closest(".scroll, pre, .sr");
        });
        const pages = document.documentElement.scrollWidth;
        return [pages, window.innerWidth, wide.map((part) => part.outerHTML.slice(0, 90))];""",
        width=width,
    )
    assert found == [width, width, []]


def test_buttons_order_the_people_and_say_so(page):
    order = 'const order = () => [...document.querySelectorAll(".card h3")].map((name) => name.textContent);'
    found = ask(
        page,
        f"""{order}
        const button = (key) => document.querySelector(`[data-order=${{key}}]`);
        const seen = [order()];
        for (const key of ["label", "label", "confidence", "risk"]) {{ button(key).click(); seen.push(order()); }}
        return [seen, document.getElementById("ordered").textContent,
          [...document.querySelectorAll("[aria-pressed=true]")].map((pressed) => pressed.dataset.order)];""",
    )
    cleo, ann = ["cleo", "ann"], ["ann", "cleo"]
    assert found == [[cleo, ann, cleo, ann, cleo], "Ordered by risk", ["risk"]]


def test_the_reconstruction_over_time(page):
    found = ask(
        page,
        """const range = document.querySelector(".time input"), cell = range.closest(".cell");
        const frame = cell.querySelector(".frame");
        const look = () => [frame.hidden, range.ariaValueText, cell.querySelector("output").textContent,
          window.getComputedStyle(frame).backgroundPositionX];
        const seen = [look()];
        range.value = 1;
        range.dispatchEvent(new window.Event("input"));
        return [...seen, look(), document.querySelectorAll(".film").length];""",
    )
    assert found[0][:3] == [True, "iteration 20", "20"]
    assert found[1] == [False, "iteration 10", "10", "50%"]
    assert found[2] == 2  # two people of the first run


def test_dark_and_light(page):
    script = "return window.getComputedStyle(document.body).backgroundColor"
    light, dark = (ask(page, script, f"--blink-settings=preferredColorScheme={scheme}") for scheme in (1, 0))
    assert (light, dark) == ("rgb(246, 247, 249)", "rgb(20, 23, 28)")


def test_the_keyboard_reaches_what_can_be_used_and_the_focus_is_seen(page):
    found = ask(
        page,
        """const skip = document.querySelector(".skip");
        const away = skip.getBoundingClientRect().right;
        skip.focus();
        const here = skip.getBoundingClientRect().left;
        const used = [...document.querySelectorAll("button, input, summary, a[href]")];
        const rules = [...document.styleSheets[0].cssRules].map((rule) => rule.selectorText || "");
        return [away < 0, here >= 0, used.filter((part) => part.tabIndex < 0).length,
          rules.includes(":focus-visible")];""",
    )
    assert found == [True, True, 0, True]


def test_on_paper_everything_is_open(page):
    found = ask(
        page,
        """const open = () => [...document.querySelectorAll("details")].filter((part) => part.open).length;
        const seen = [open()];
        window.dispatchEvent(new window.Event("beforeprint"));
        seen.push(open() === document.querySelectorAll("details").length);
        window.dispatchEvent(new window.Event("afterprint"));
        return [...seen, open()];""",
    )
    assert found == [0, True, 0]
    folder = page.parent / "browser"
    printed = folder / "page.pdf"
    assert complaints(run_browser(folder, f"--print-to-pdf={printed}", page.as_uri())) == []
    assert printed.read_bytes().startswith(b"%PDF")


def test_a_sound_is_loaded_when_it_is_asked_for(run_folder, tmp_path):
    result = make_result((1, 4800))
    page = build_report([run_folder(result=result, judgement=None)], tmp_path / "report.html")
    folder = tmp_path / "browser"
    folder.mkdir()
    asked = folder / "asked.html"  # within the page: its `load` waits for the sound, while virtual time would not
    asked.write_text(
        page.read_text().replace(
            "</body>",
            """<script>
            const before = document.querySelectorAll("audio").length;
            document.querySelector(".play").click();
            const [audio] = document.querySelectorAll("audio");
            addEventListener("load", () => {
              document.body.dataset.answer = JSON.stringify([before, document.querySelectorAll("audio").length,
                audio.error && audio.error.message, audio.duration, audio.ariaLabel, document.activeElement === audio]);
            });
            </script></body>""",
        )
    )
    found = answer(run_browser(folder, "--dump-dom", asked.as_uri()))
    assert found[:3] == [0, 1, None]
    assert found[3] == pytest.approx(0.3, abs=0.005)
    assert found[4:] == ["ann by run, as found", True]


def test_a_page_of_one_old_run_has_no_errors(run_folder, tmp_path):
    page = build_report([run_folder(result=make_result((7,)), judgement=None)], tmp_path / "report.html")
    assert ask(page, 'return document.querySelectorAll(".headline.missing").length', width=360) == 1
