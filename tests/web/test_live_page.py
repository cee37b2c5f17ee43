"""The live page in a real Chromium, against the real server as a process of its own."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from camera.sentry import spell_duration
from tests.serving import Vedette, wait_until
from tests.web.browser import PATIENCE, Page, open_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Serve

NOTHING = "\N{EN DASH}"
"""What the page shows where there is nothing to say."""


def shape(path: Path) -> tuple[int, ...]:
    """Height, width and channels of a saved picture."""
    image = cv2.imread(str(path))
    assert image is not None, f"{path.name} is no picture"
    return tuple(image.shape)


def size(width: int, height: int) -> str:
    """A size as the page writes it, with a multiplication sign."""
    return f"{width} \N{MULTIPLICATION SIGN} {height}"


@pytest.fixture
def server(serve: Serve) -> Vedette:
    """A server that shows the test pattern."""
    return serve("--source", "pattern")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A browser of the test's own."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with open_page(downloads) as page:
        yield page


@pytest.fixture
def live(page: Page, server: Vedette) -> Page:
    """The live page, once it is live."""
    page.driver.get(server.url)
    page.wait_text("state", "Live")
    return page


def test_the_picture_moves(live: Page) -> None:
    """What the canvas shows changes, and the page says its size, rate, age and viewers."""
    live.wait_moving()
    live.wait_text("size", size(1280, 720))
    live.wait_text("viewers", "1")
    live.wait_text("age", " s")
    wait_until(lambda: live.text("rate") not in {"", NOTHING}, "no rate is shown")


def test_the_picture_is_as_large_as_the_window_allows(live: Page) -> None:
    """At its own aspect, it touches either both sides of its stage or its top and bottom."""
    for width, height in ((375, 812), (812, 375), (1280, 800), (1920, 1080)):
        live.resize(width, height)
        stage, picture = (
            live.script(f"const r = document.querySelector('{it}').getBoundingClientRect(); return [r.width, r.height]")
            for it in (".stage", "#canvas")
        )
        assert isinstance(stage, list)
        assert isinstance(picture, list)
        assert picture[0] / picture[1] == pytest.approx(16 / 9, rel=0.01)
        assert picture[0] == pytest.approx(stage[0], abs=1) or picture[1] == pytest.approx(stage[1], abs=1)


def test_pause_closes_the_stream_and_resume_opens_it(live: Page, server: Vedette) -> None:
    """While paused the picture stands, the page says since when, and the server has no viewer."""
    live.click("pause")
    live.wait_text("tag", "Paused since")
    assert live.text("state") == "Paused"
    stands = live.pixels()
    wait_until(lambda: server.watching() == [], "the stream of a paused page stays open")
    assert live.pixels() == stands
    live.click("pause")
    live.wait_text("state", "Live")
    live.wait_moving()
    assert server.watching() == ["page"]


def test_a_snapshot_is_saved(live: Page) -> None:
    """The snapshot control saves a whole JPEG of the camera's size."""
    live.click("snapshot")
    assert shape(live.wait_download()) == (720, 1280, 3)


def test_the_page_has_the_words_of_the_server(live: Page) -> None:
    """A saved still is named, and a span of time is spelled, as the server does it."""
    for seconds in (0, 59, 60, 125, 3600, 12000, 86400, 90000, 352800):
        said = live.script(f"return import('/static/words.js').then((words) => words.span({seconds}))")
        assert said == spell_duration(seconds)
    moment = 1795183402
    name = live.script(f"return import('/static/words.js').then((words) => words.fileName('front', {moment}000))")
    assert name == time.strftime("front_%Y-%m-%d_%H-%M-%S.jpg", time.localtime(moment))


def test_a_snapshot_of_a_paused_picture_is_that_picture(live: Page) -> None:
    """While paused, what is on the screen is saved, not what the camera sees meanwhile."""
    live.click("pause")
    live.wait_text("state", "Paused")
    live.click("snapshot")
    saved = live.wait_download()
    assert shape(saved) == (720, 1280, 3)
    shown = live.script(
        "const c = document.createElement('canvas'); c.width = 1280; c.height = 720; const x = c.getContext('2d');"
        "x.drawImage(document.getElementById('canvas'), 0, 0);"
        "return [...x.getImageData(0, 360, 1280, 1).data].filter((_, i) => i % 4 === 1)"
    )
    kept = cv2.imread(str(saved))
    assert kept is not None
    # Two decoders may round differently; a frame later the pattern differs by far more.
    assert np.abs(kept[360, :, 1].astype(int) - np.array(shown)).max() <= 4


def test_the_page_says_that_the_server_is_away_and_recovers(live: Page, server: Vedette) -> None:
    """A killed server is said over a dimmed picture; when it is back the same page is live again, without a reload."""
    live.script("window.notReloaded = true")
    server.kill()
    live.wait_text("cover", "The server is away")
    live.wait_text("cover", "The picture is")
    assert live.text("state") == "Server away"
    assert "brightness" in live.style("canvas", "filter")
    server.start()
    live.wait_text("state", "Live")
    live.wait_moving()
    assert live.text("cover") == ""
    wait_until(lambda: live.style("canvas", "filter") == "none", "the picture stays dimmed")
    assert live.script("return window.notReloaded") is True


def test_a_page_of_another_version_is_replaced(live: Page) -> None:
    """A page that was loaded before the server was updated becomes the new one by itself."""
    live.script("window.isOld = true; document.body.dataset.version = '0.0.0'")
    wait_until(lambda: live.script("return window.isOld") is None, "the old page stays")
    live.wait_text("state", "Live")
    live.wait_moving()


def test_a_silent_connection_is_given_up(live: Page, server: Vedette) -> None:
    """A server that stands still without closing anything is away too, and is found again when it goes on."""
    with server.stopped():
        live.wait_text("state", "Server away")
    live.wait_text("state", "Live")
    live.wait_moving()


def test_the_page_says_that_the_camera_is_lost_and_recovers(page: Page, serve: Serve) -> None:
    """A camera that goes away is named as lost with the reason, on the same connection until it is back."""
    camera = serve("--source", "pattern")
    page.driver.get(serve("--source", f"{camera.url}/stream").url)
    page.wait_text("state", "Live")
    camera.kill()
    page.wait_text("state", "Lost")
    wait_until(lambda: page.text("detail") != "", "no reason is shown")
    assert page.text("size") == NOTHING
    camera.start()
    page.wait_text("state", "Live")
    page.wait_moving()


def test_a_full_server_is_said(page: Page, serve: Serve) -> None:
    """A page that finds no place says so, and takes the place when there is one."""
    server = serve("--source", "pattern", "--max-viewers", "1")
    with urllib.request.urlopen(f"{server.url}/stream", timeout=PATIENCE):
        page.driver.get(server.url)
        page.wait_text("cover", "Too many viewers")
    page.wait_text("state", "Live")


def test_keys(live: Page) -> None:
    """Space pauses and resumes, F fills the screen and leaves it, S saves a snapshot, also after a click."""
    live.press(Keys.SPACE)
    live.wait_text("state", "Paused")
    live.press(Keys.SPACE)
    live.wait_text("state", "Live")
    live.press("f")
    wait_until(lambda: live.script("return document.fullscreenElement !== null") is True, "no full screen")
    live.press("f")
    wait_until(lambda: live.script("return document.fullscreenElement === null") is True, "full screen stays")
    live.click("fullscreen")
    live.press(Keys.SPACE)
    live.wait_text("state", "Paused")
    live.press("s")
    assert shape(live.wait_download()) == (720, 1280, 3)


def test_every_control_is_reached_by_tab_and_has_a_name(live: Page) -> None:
    """Whoever has no pointer reaches every control, sees where it is, and hears what it does."""
    names = []
    for _ in range(3):
        live.press(Keys.TAB)
        focused = live.driver.switch_to.active_element
        names.append(focused.accessible_name)
        assert focused.value_of_css_property("outline-style") == "solid"
    assert names == ["Pause", "Snapshot", "Full screen"]


def test_choice_of_camera(page: Page, serve: Serve, tmp_path: Path) -> None:
    """Another camera is chosen by click, number or arrow; the address follows, and no stream is left behind."""
    settings = tmp_path / "vedette.toml"
    settings.write_text('source = "pattern"\n[camera.front]\nsize = "640x480"\n[camera.back]\nsize = "320x240"\n')
    server = serve("--config", str(settings))
    page.driver.get(server.url)
    page.wait_text("size", size(640, 480))
    page.press("2")
    page.wait_text("size", size(320, 240))
    assert page.driver.current_url == f"{server.url}/cameras/back/"
    page.press(Keys.ARROW_LEFT)
    page.wait_text("size", size(640, 480))
    page.driver.find_element("css selector", "#cameras [data-camera=back]").click()
    page.wait_text("size", size(320, 240))
    wait_until(lambda: server.watching() == ["page"], "streams of cameras no longer shown stay open")
    page.driver.refresh()
    page.wait_text("size", size(320, 240))


def test_a_hidden_page_lets_the_camera_rest(live: Page, server: Vedette) -> None:
    """A tab that nobody sees gives its stream up, and has it back at once when it is seen again."""
    shown = live.driver.current_window_handle
    live.driver.switch_to.new_window("tab")
    wait_until(lambda: server.watching() == [], "the stream of a hidden page stays open")
    live.driver.close()
    live.driver.switch_to.window(shown)
    live.wait_text("state", "Live")
    live.wait_moving()


def test_nothing_is_asked_of_another_host(live: Page, server: Vedette) -> None:
    """Every request goes to the server itself, and the console has nothing to complain about."""
    live.wait_moving()
    live.click("pause")
    live.click("snapshot")
    live.wait_download()
    assert live.hosts == {f"127.0.0.1:{server.port}"}
    assert live.complaints == []


def test_without_script_the_picture_is_an_image(page: Page, server: Vedette) -> None:
    """A browser that runs no script gets the stream as an `<img>`, and the server sees it watching."""
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    page.driver.get(server.url)
    wait_until(lambda: server.watching() == ["img"], "no <img> watches")


def test_everything_fits_the_window(live: Page) -> None:
    """On a phone, a kiosk and a desktop nothing scrolls, is cut off or covered; a thumb finds every control (44 px)."""
    for width, height in ((320, 568), (375, 812), (812, 375), (800, 480), (768, 1024), (1280, 800), (1920, 1080)):
        live.resize(width, height)
        assert live.script("return document.documentElement.scrollWidth") == width
        for box in boxes(live, "#canvas, #state, .facts dd, .facts dt, .controls > *"):
            assert box["left"] >= 0
            assert box["right"] <= width
            assert box["top"] >= 0
            assert box["bottom"] <= height
            assert box["isOnTop"]
        for control in boxes(live, ".controls > *"):
            assert min(control["right"] - control["left"], control["bottom"] - control["top"]) >= 44


def boxes(page: Page, selector: str) -> list[dict[str, Any]]:
    """Where each element is, in CSS pixels, and whether a pointer in its middle would hit it or what is in it."""
    found = page.script(
        f"""return [...document.querySelectorAll("{selector}")].map((element) => {{
          const {{left, right, top, bottom}} = element.getBoundingClientRect();
          const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
          return {{left, right, top, bottom, isOnTop: element.contains(hit)}};
        }});"""
    )
    assert isinstance(found, list)
    return found
