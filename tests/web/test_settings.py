"""Settings: read from file, environment and options in rising order, with one clear line for what is wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from camera.errors import SettingError
from camera.state import Standby
from web.configuration import Configuration, read
from web.settings import CAMERA, SERVER, SETTINGS, CameraSettings, Settings


@pytest.fixture(autouse=True)
def _no_file_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


def written(text: str, name: str = "vedette.toml") -> Path:
    """A settings file in the current folder."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(text: str = "", *, environment: dict[str, str] | None = None, options: dict[str, str] | None = None) -> str:
    """The one line that is said about these settings."""
    with pytest.raises(SettingError) as error:
        read(options, config=written(text), environment=environment or {})
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_any_setting_there_is_one_camera_on_loopback() -> None:
    """The defaults need no file, and nobody else can reach the server."""
    found = read(environment={})
    assert found.file is None
    assert found.settings == Settings(cameras=(CameraSettings(name="camera"),))
    assert found.settings.host == "127.0.0.1"
    assert not found.settings.open


def test_what_comes_later_wins() -> None:
    """Default, file, the camera's table, environment, the camera's own variable, option: in rising order."""
    steps: list[tuple[str, dict[str, str], dict[str, str], float | None, str]] = [
        ("", {}, {}, None, "default"),
        ("fps = 1", {}, {}, 1, "file vedette.toml"),
        ("fps = 1\n[camera.front]\nfps = 2", {}, {}, 2, "file vedette.toml [camera.front]"),
        ("[camera.front]\nfps = 2", {"VEDETTE_FPS": "3"}, {}, 3, "environment VEDETTE_FPS"),
        (
            "[camera.front]\nfps = 2",
            {"VEDETTE_FPS": "3", "VEDETTE_CAMERA_FRONT_FPS": "4"},
            {},
            4,
            "environment VEDETTE_CAMERA_FRONT_FPS",
        ),
        (
            "[camera.front]\nfps = 2",
            {"VEDETTE_FPS": "3", "VEDETTE_CAMERA_FRONT_FPS": "4"},
            {"fps": "5"},
            5,
            "option --fps",
        ),
    ]
    for text, environment, options, fps, origin in steps:
        found = read(options, config=written(text), environment=environment)
        camera = found.settings.cameras[0]
        assert (camera.fps, found.cameras[camera.name]["fps"].origin) == (fps, origin)


def test_an_option_holds_for_every_camera() -> None:
    """`--standby on` is meant for all cameras, whatever their tables say; they keep the rest of them."""
    text = '[camera.front]\nsource = "0"\n[camera.yard]\nsource = "1"\nstandby = "warm"'
    cameras = read({"standby": "on"}, config=written(text), environment={}).settings.cameras
    assert [(each.name, each.source, each.standby) for each in cameras] == [
        ("front", "0", Standby.ON),
        ("yard", "1", Standby.ON),
    ]


def test_cameras_keep_the_order_of_the_file() -> None:
    """The first table is what the plain addresses mean, whatever its name."""
    text = "".join(f"[camera.{name}]\n" for name in ("zoo", "attic", "m_1", "b-2"))
    names = [each.name for each in read(config=written(text), environment={}).settings.cameras]
    assert names == ["zoo", "attic", "m_1", "b-2"]


def test_every_kind_of_value_is_read_from_file_and_text() -> None:
    """Each setting takes its value as TOML and as text, and ends up with the type that its field promises."""
    text = """
        host = "::"
        port = 0
        open = true
        hosts = ["Cam.example.org.", "proxy"]
        max_viewers = 5
        log_level = "debug"
        source = 2
        size = "640x480"
        fps = 15
        standby = "on"
        quality = 95
        rotate = 90
        flip = "both"
        linger = 0
        stall_after = 0.5
        settle = 1.5
    """
    expected = Settings(
        host="::",
        port=0,
        open=True,
        hosts=("cam.example.org", "proxy"),
        max_viewers=5,
        log_level="debug",
        cameras=(
            CameraSettings(
                name="camera",
                source="2",
                size=(640, 480),
                fps=15.0,
                standby=Standby.ON,
                quality=95,
                rotate=90,
                flip="both",
                linger=0.0,
                stall_after=0.5,
                settle=1.5,
            ),
        ),
    )
    from_file = read(config=written(text), environment={})
    assert from_file.settings == expected
    texts = {each.name: each.kind.show(shown(from_file, each.name)) for each in SETTINGS}
    assert read(texts, environment={}).settings == expected
    variables = {each.variable: texts[each.name] for each in SETTINGS}
    assert read(environment=variables).settings == expected


def shown(found: Configuration, name: str) -> object:
    """The value of a setting, wherever it belongs."""
    return (found.server | found.cameras["camera"])[name].value  # type: ignore[operator]


@pytest.mark.parametrize("text", ["true", "YES", "on", "1", " True "])
def test_yes_can_be_written_in_the_ways_people_write_it(text: str) -> None:
    """VEDETTE_OPEN takes what a person or a unit file would write."""
    assert read(environment={"VEDETTE_OPEN": text}).settings.open


def test_a_variable_set_to_nothing_counts_as_not_set() -> None:
    """`VEDETTE_PORT=` in a unit's environment file is how a line is switched off."""
    assert read(environment={"VEDETTE_PORT": "", "VEDETTE_HOST": " "}).settings == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 99999", "vedette.toml: port = 99999: must be a whole number from 0 to 65535"),
        ("port = true", "vedette.toml: port = true: must be a whole number from 0 to 65535"),
        ('port = "8080"', 'vedette.toml: port = "8080": must be a whole number from 0 to 65535'),
        ("open = 1", "vedette.toml: open = 1: must be true or false"),
        ("fps = nan", 'vedette.toml: fps = nan: must be "auto" or a number from 0.1 to 240'),
        ("fps = inf", 'vedette.toml: fps = inf: must be "auto" or a number from 0.1 to 240'),
        ("fps = 1" + "0" * 400, 'must be "auto" or a number from 0.1 to 240'),
        ("rotate = 45", "vedette.toml: rotate = 45: must be one of 0, 90, 180, 270"),
        ("rotate = 90.0", "must be one of 0, 90, 180, 270"),
        ("standby = false", 'vedette.toml: standby = false: must be one of "off", "warm", "on"'),
        ('size = "640"', 'vedette.toml: size = "640": must be "auto" or a width and a height like "1280x720"'),
        ('size = "99999x2"', "each from 16 to 16384 pixels"),
        ('source = ""', 'vedette.toml: source = "": must be'),
        ('source = "a\\nb"', 'vedette.toml: source = "a?b": must be'),
        ('hosts = "one"', 'vedette.toml: hosts = "one": must be a list of host names, without port'),
        ('hosts = ["a:80"]', "must be a list of host names, without port"),
        ("prot = 1", "vedette.toml: prot: there is no such setting; did you mean port?"),
        ("xyzzy = 1", "vedette.toml: xyzzy: there is no such setting"),
        (
            "[camera.front]\nfps = 0",
            'vedette.toml: [camera.front]: fps = 0: must be "auto" or a number from 0.1 to 240',
        ),
        ("[camera.front]\nport = 1", "port: belongs to the server, not to a camera; write it before the first table"),
        ("[camera.front]\nsorce = 1", "vedette.toml: [camera.front]: sorce: there is no such setting; did you mean"),
        ("[camera.Front]", "a camera's name must be of a-z, 0-9, - and _"),
        ('[camera."../x"]', "a camera's name must be of a-z, 0-9, - and _"),
        ("[camera.a-b]\n[camera.a_b]", "[camera.a_b]: too much like [camera.a-b]; give it another name"),
        ('[camera]\nsource = "0"', "a camera is a table with a name, like [camera.front]"),
        ("camera = 0", "a camera is a table with a name, like [camera.front]"),
        ("port = ", "vedette.toml: not TOML: "),
        ("port = 1\nport = 2", "vedette.toml: not TOML: "),
        ("port = 1" + "0" * 5000, "vedette.toml: not settings: a number in it has too many digits"),
        ("fps = 0x1" + "0" * 5000, "vedette.toml: fps = a number of many digits: must be"),
        ("hosts = " + "[" * 5000 + "]" * 5000, "vedette.toml: not settings: brackets within brackets"),
        ("port = [1, [2], true]", "vedette.toml: port = [1, …, true]: must be"),
        ("port = {a = 1}", "vedette.toml: port = {…}: must be"),
    ],
)
def test_a_bad_line_in_the_file_is_named_with_what_would_be_right(text: str, said: str) -> None:
    """One line with the file, the key, the value and what would be right."""
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"VEDETTE_PORT": "80a"}, "VEDETTE_PORT=80a: must be a whole number from 0 to 65535"),
        ({"VEDETTE_PORT": "tcp://10.0.0.1:8080"}, "VEDETTE_PORT=tcp://10.0.0.1:8080: must be a whole number"),
        ({"VEDETTE_PORT": "٣"}, "must be a whole number"),
        ({"VEDETTE_FPS": "1e1"}, 'VEDETTE_FPS=1e1: must be "auto" or a number from 0.1 to 240'),
        ({"VEDETTE_FPS": "9" * 5000}, 'must be "auto" or a number from 0.1 to 240'),
        ({"VEDETTE_OPEN": "maybe"}, "VEDETTE_OPEN=maybe: must be true or false"),
        ({"VEDETTE_PROT": "1"}, "VEDETTE_PROT: there is no such setting; did you mean VEDETTE_PORT?"),
        ({"VEDETTE_CAMERA_YARD_FPS": "1"}, "there is no such setting; did you mean VEDETTE_CAMERA_CAMERA_FPS?"),
        ({"VEDETTE_CAMERA_YARD_FPS": "1"}, "(the cameras are: camera)"),
    ],
)
def test_a_bad_variable_is_named_with_what_would_be_right(environment: dict[str, str], said: str) -> None:
    """One line with the variable, its value and what would be right."""
    assert said in refusal(environment=environment)


def test_a_bad_option_is_named_with_what_would_be_right() -> None:
    """One line with the option, its value and what would be right."""
    assert refusal(options={"stall_after": "-1"}) == "--stall-after -1: must be a number of seconds from 0.5 to 60"


def test_the_first_file_that_exists_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, variable, current folder, the user's own folder: the first one counts, alone."""
    home = written("port = 4\nfps = 4", "home/vedette/vedette.toml")
    assert read(environment={}).settings.port == 4
    here = written("port = 3")
    assert read(environment={}).settings.port == 3
    assert read(environment={}).settings.cameras[0].fps is None
    by_variable = written("port = 2", "two.toml")
    assert read(environment={"VEDETTE_CONFIG": str(by_variable)}).settings.port == 2
    by_option = written("port = 1", "one.toml")
    found = read(config=by_option, environment={"VEDETTE_CONFIG": str(by_variable)})
    assert (found.settings.port, found.file) == (1, by_option)
    here.unlink()
    home.unlink()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    written("port = 5", ".config/vedette/vedette.toml")
    assert read(environment={}).settings.port == 5


def test_a_file_that_cannot_be_read_is_named() -> None:
    """A file that is missing, a folder, or not text ends in one line with its name."""
    for path, said in (
        (Path("none.toml"), "none.toml: cannot read the settings: No such file or directory"),
        (Path(), ".: cannot read the settings: Is a directory"),
    ):
        with pytest.raises(SettingError, match=said):
            read(config=path, environment={})
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match=r"binary\.toml: not a text file in UTF-8"):
        read(config="binary.toml", environment={})
    Path("vedette.toml").symlink_to("gone.toml")
    with pytest.raises(SettingError, match=r"vedette\.toml: cannot read the settings"):
        read(environment={})


def test_a_file_saved_by_a_windows_editor_is_read() -> None:
    """A byte order mark and CRLF are no reason to refuse a file."""
    Path("vedette.toml").write_bytes(b"\xef\xbb\xbfport = 81\r\nfps = 10\r\n")
    assert read(environment={}).settings.port == 81


def test_passwords_are_not_repeated_in_errors() -> None:
    """A refused address is shown without the password in it, from whichever place it came."""
    address = "rtsp://joe:hunter2@cam/live?token=abc\u0007"
    for said in (
        refusal(environment={"VEDETTE_SOURCE": address}),
        refusal(options={"source": address}),
        refusal(f'source = "{address[:-1]}\\u0007"'),
    ):
        assert "hunter2" not in said
        assert "abc" not in said
        assert "rtsp://***@cam/live?token=***" in said


@pytest.mark.parametrize(
    "password", ['hun"ter2', "hun ter2", "<hunter2>", "1/hunter2", "1#hunter2", "1?hunter2", "o'hunter2"]
)
def test_passwords_with_odd_characters_are_not_repeated_either(password: str) -> None:
    """An address is masked as a whole, from whichever place it came, also where it does not belong."""
    address = f"rtsp://joe:{password}@cam/live"
    quoted = json.dumps(address)
    for said in (
        refusal(environment={"VEDETTE_PORT": address}),
        refusal(options={"port": address}),
        refusal(f"port = {quoted}"),
        refusal(f"source = [{quoted}]"),
    ):
        assert "hun" not in said
        assert "ter2" not in said
        assert "rtsp://***@cam/live" in said


def test_each_default_is_a_value_that_its_setting_takes() -> None:
    """The table does not contradict itself."""
    for each in SETTINGS:
        text = each.kind.show(each.default)
        assert each.kind.from_text(text) == each.default, each.name


def test_names_of_settings_are_unique_and_complete() -> None:
    """A name means one thing; every field is a setting but the name of a camera and the list of cameras."""
    assert len({each.name for each in SETTINGS}) == len(SETTINGS)
    server = {field.name for field in dataclasses.fields(Settings)}
    camera = {field.name for field in dataclasses.fields(CameraSettings)}
    assert server == {each.name for each in SERVER} | {"cameras"}
    assert camera == {each.name for each in CAMERA} | {"name"}
