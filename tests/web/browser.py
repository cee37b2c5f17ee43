"""A real Chromium for the tests of the pages, driven through Debian's chromedriver.

The browser is Debian's own, so nothing is downloaded; without it the tests fail and say what to install.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 30.0
"""Seconds to wait for something that must happen; a loaded machine needs many, an idle one hardly any."""

# A small copy of what the canvas shows, as text: two of them differ when the picture has moved.
_PIXELS = """
const copy = document.createElement("canvas");
copy.width = 64; copy.height = 36;
copy.getContext("2d").drawImage(document.getElementById("canvas"), 0, 0, 64, 36);
return copy.toDataURL();
"""


class Page:
    """One tab, with what the tests ask of a page."""

    def __init__(self, driver: Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads
        self._requests: list[str] = []
        self._complaints: list[str] = []

    def text(self, element: str) -> str:
        """The text of the element with this id; empty when it is not shown."""
        return self.driver.find_element(By.ID, element).text

    def style(self, element: str, name: str) -> str:
        """The computed value of a CSS property of the element with this id."""
        return self.driver.find_element(By.ID, element).value_of_css_property(name)

    def click(self, element: str) -> None:
        """Click the element with this id, in its middle, as a pointer does."""
        self.driver.find_element(By.ID, element).click()

    def press(self, key: str) -> None:
        """Press a key as a person does who has clicked nowhere."""
        self.driver.switch_to.active_element.send_keys(key)

    def pixels(self) -> str:
        """What the canvas shows, comparable."""
        return str(self.driver.execute_script(_PIXELS))

    def script(self, source: str) -> object:
        """Run `source` in the page and return what it returns."""
        value: object = self.driver.execute_script(source)
        return value

    def wait_text(self, element: str, wanted: str) -> None:
        """Wait until the element with this id contains `wanted`."""
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(
            lambda _: wanted in self.text(element), f"#{element} says {self.text(element)!r}, never {wanted!r}"
        )

    def wait_moving(self) -> None:
        """Wait until the canvas shows something else than now."""
        before = self.pixels()
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(
            lambda _: self.pixels() != before, "the picture stands still"
        )

    def wait_download(self) -> Path:
        """Wait for one file to be saved, and return it."""

        def saved(_: Chrome) -> Path | bool:
            files = [path for path in self.downloads.iterdir() if path.suffix == ".jpg"]
            return files[0] if files else False

        found = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(saved, "nothing was saved")
        assert isinstance(found, Path)
        return found

    def resize(self, width: int, height: int) -> None:
        """Make the window `width` x `height` CSS pixels, also narrower than a desktop window can be."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)

    def command(self, method: str, **parameters: object) -> object:
        """Send one command of the DevTools protocol."""
        answer: object = self.driver.execute_cdp_cmd(method, parameters)
        return answer

    @property
    def complaints(self) -> list[str]:
        """Everything the console has said so far: errors, warnings, violations of the Content-Security-Policy."""
        self._complaints += [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        return self._complaints

    @property
    def hosts(self) -> set[str]:
        """The host and port of every request made so far, by whatever part of the page."""
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        return {urlsplit(url).netloc for url in self._requests if urlsplit(url).scheme not in {"blob", "data"}}


@contextmanager
def open_page(downloads: Path) -> Iterator[Page]:
    """A browser with one empty tab of 1280 x 800 pixels, which saves what it downloads in `downloads`."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    assert not missing, f"not installed: {', '.join(missing)}; apt-get install chromium chromium-driver"
    options = ChromeOptions()
    options.binary_location = str(found["chromium"])
    for argument in (
        "--headless=new",
        "--no-sandbox",  # containers and root have none to offer
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--window-size=1280,800",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(str(found["chromedriver"])))
    try:
        yield Page(driver, downloads)
    finally:
        driver.quit()
