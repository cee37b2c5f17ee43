"""The command `vedette`, run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from camera.camera import Camera
from camera.errors import SourceError
from camera.frame import FrameBuffer
from camera.jpeg import checked
from camera.state import Standby, State
from tests.serving import wait_until
from web import stills
from web.cli import run

DEADLINE: Final = 60
"""Seconds after which a command counts as hung; a slow machine is given plenty."""


@pytest.fixture(autouse=True)
def _no_file_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


def vedette(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """The outcome of `vedette ARGUMENTS`."""
    return subprocess.run(
        [sys.executable, "-m", "web", *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | (environment or {}),
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )


def assert_refused(outcome: subprocess.CompletedProcess[bytes], code: int, said: str) -> None:
    """The command ended with `code` and one line on standard error that says `said`."""
    lines = outcome.stderr.decode().splitlines()
    assert outcome.returncode == code
    assert outcome.stdout == b""
    assert len(lines) == 1, lines
    assert lines[0].startswith("vedette: ")
    assert said in lines[0]


def test_version_and_help_are_told() -> None:
    """`--version` and `--help` answer with 0; every command has its line."""
    assert vedette("--version").stdout.startswith(b"vedette ")
    shown = vedette("--help")
    assert shown.returncode == 0
    for command in ("cameras", "config", "snapshot"):
        assert f"  {command}  ".encode() in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "--port 99999: must be a whole number from 0 to 65535"),
        (["--prot", "1"], "--prot"),
        (["dance"], "dance"),
        (["snapshot"], "FILE"),
        (["--config", "none.toml"], "none.toml: cannot read the settings: No such file or directory"),
        (["--source", "nope"], "option --source: source: 'nope' is not a source"),
        (["snapshot", "--camera", "yard", "a.jpg"], "--camera yard: there is no such camera; there is camera"),
        (["snapshot", "--source", "pattern", "none/a.jpg"], "none/a.jpg: there is no folder none"),
        (["snapshot", "--source", "pattern", "."], ".: is a folder; name a file in it"),
        (["snapshot", "--source", "pattern", "x" * 300], "x: cannot write the picture there: File name too long"),
        (["snapshot", "--timeout", "nan", "a.jpg"], "nan: must be a number of seconds from 0.1 to 3600"),
        (["rtsp://joe:hun'ter2@cam/x"], "rtsp://***@cam/x"),
        (["--source", "joe:hunter2@192.168.1.5/x"], "source: '***@192.168.1.5/x' has no scheme"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(arguments: list[str], said: str) -> None:
    """A setting or an option that is not right ends the command before anything is started."""
    assert_refused(vedette(*arguments), 2, said)


@pytest.mark.parametrize("standby", ["off", "warm", "on"])
def test_a_camera_that_is_not_there_is_one_line_and_code_1(standby: str) -> None:
    """A snapshot from a missing device fails at once, says what is missing, and leaves no file."""
    outcome = vedette("snapshot", "--source", "/dev/video77", "--standby", standby, "--timeout", "3600", "still.jpg")
    assert_refused(outcome, 1, "/dev/video77")
    assert not Path("still.jpg").exists()


def test_a_camera_already_lost_is_not_waited_for() -> None:
    """A camera in standby may have been lost before anybody asked: its status tells, and no frame need come."""
    told = threading.Event()

    def take(camera: Camera) -> None:
        with pytest.raises(SourceError, match="video77"):
            stills._first_picture(camera, 3600)
        told.set()

    with Camera("/dev/video77", standby=Standby.ON) as camera:
        wait_until(lambda: camera.status.state is State.LOST, "the camera is not lost")
        # One into which nothing is published.
        camera.buffer = FrameBuffer()
        threading.Thread(target=take, args=(camera,), daemon=True).start()
        assert told.wait(DEADLINE)


def test_a_folder_one_may_not_enter_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A still for such a folder is refused before the camera is opened, and a source in it is no traceback."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    user = os.geteuid()
    # The administrator may enter any folder.
    if user == 0:
        os.seteuid(65534)
    try:
        refused = run(["snapshot", "--source", "pattern", str(closed / "a.jpg")])
        failed = run(["snapshot", "--source", str(closed / "a.mp4"), "-"])
    finally:
        os.seteuid(user)
    first, second = capsys.readouterr().err.splitlines()
    assert (refused, failed) == (2, 1)
    assert first.endswith("a.jpg: cannot write the picture there: Permission denied")
    assert "a.mp4 may not be read by this user" in second


def test_a_name_may_be_as_long_as_the_file_system_takes() -> None:
    """A still is written beside its file first; that name is not longer than the file's."""
    name = "\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 125 + ".jpg"
    assert vedette("snapshot", "--source", "pattern", "--size", "320x240", name).returncode == 0
    assert Path(name).exists()


def test_what_nobody_expected_is_one_line_too() -> None:
    """A defect ends the command with one line without passwords; the log level debug adds the trace."""
    outcome = subprocess.run([sys.executable, "-c", BROKEN, "cameras"], capture_output=True, check=False)
    assert_refused(outcome, 1, "unexpected KeyError: 'rtsp://***@cam/'")
    for arguments, environment in (
        (["--log-level=debug", "cameras"], {}),
        (["cameras"], {"VEDETTE_LOG_LEVEL": "debug"}),
    ):
        outcome = subprocess.run(
            [sys.executable, "-c", BROKEN, *arguments], capture_output=True, check=False, env=os.environ | environment
        )
        assert b"Traceback" in outcome.stderr
        assert b"hunter2" not in outcome.stderr


BROKEN: Final = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from camera import devices

def broken():
    address = "rtsp://joe:hunter2@cam/"
    raise KeyError(address)

devices.cameras = broken
sys.argv = ["vedette", *sys.argv[1:]]
from web.cli import main
main()
"""


def test_config_tells_each_value_and_its_origin() -> None:
    """The table names value and place of every setting; passwords are masked."""
    Path("vedette.toml").write_text('port = 1234\n[camera.front]\nsource = "rtsp://joe:hunter2@cam/"\n')
    outcome = vedette("config", "--fps", "10", environment={"VEDETTE_STANDBY": "warm"})
    lines = {line.split()[0]: line.split() for line in outcome.stdout.decode().splitlines() if line}
    assert lines["file:"] == ["file:", "vedette.toml"]
    assert lines["host"] == ["host", "127.0.0.1", "default"]
    assert lines["port"] == ["port", "1234", "file", "vedette.toml"]
    assert lines["camera.front.fps"] == ["camera.front.fps", "10", "option", "--fps"]
    assert lines["camera.front.standby"] == ["camera.front.standby", "warm", "environment", "VEDETTE_STANDBY"]
    assert lines["camera.front.source"][1] == "rtsp://***@cam/"


def test_config_as_json_has_the_types_of_the_file() -> None:
    """`config --json` is for programs: numbers are numbers, lists are lists."""
    outcome = vedette("config", "--json", "--open", "--hosts", "a,b")
    document = json.loads(outcome.stdout)
    assert document["server"]["port"] == {"value": 8080, "from": "default"}
    assert document["server"]["open"] == {"value": True, "from": "option --open"}
    assert document["server"]["hosts"]["value"] == ["a", "b"]
    assert document["cameras"]["camera"]["size"]["value"] == "1280x720"


def test_an_option_may_stand_before_the_command() -> None:
    """`vedette --port 1 config` and `vedette config --port 1` mean the same; the one behind counts more."""
    for arguments in (["--port", "1", "config"], ["config", "--port", "1"], ["--port", "2", "config", "--port", "1"]):
        outcome = json.loads(vedette(*arguments, "--json").stdout)
        assert outcome["server"]["port"] == {"value": 1, "from": "option --port"}


def test_cameras_are_listed_for_people_and_programs() -> None:
    """`cameras` works on a machine with and without a camera; `--json` is a list."""
    assert vedette("cameras").stdout.strip()
    assert isinstance(json.loads(vedette("cameras", "--json").stdout), list)


def test_snapshot_writes_a_still() -> None:
    """A whole JPEG of the asked size replaces what was there; no other file is left beside it."""
    Path("still.jpg").write_bytes(b"old")
    outcome = vedette("snapshot", "--source", "pattern", "--size", "320x240", "still.jpg")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, b"", b"")
    header = checked(Path("still.jpg").read_bytes())
    assert (header.width, header.height) == (320, 240)
    assert [each.name for each in Path().iterdir()] == ["still.jpg"]


def test_snapshot_writes_to_standard_output() -> None:
    """`-` gives the JPEG and nothing else, for a pipe."""
    outcome = vedette("snapshot", "--source", "pattern", "--size", "320x240", "-")
    assert outcome.returncode == 0
    assert checked(outcome.stdout).width == 320


def test_snapshot_takes_the_camera_named() -> None:
    """With several cameras the first is taken, or the one that `--camera` names."""
    Path("vedette.toml").write_text(
        'source = "pattern"\n[camera.front]\nsize = "320x240"\n[camera.yard]\nsize = "160x120"\nrotate = 90\n'
    )
    assert checked(vedette("snapshot", "-").stdout).width == 320
    assert checked(vedette("snapshot", "--camera", "yard", "-").stdout).width == 120


def test_snapshot_keeps_a_device_a_device() -> None:
    """A picture for /dev/null goes into it; the node is not replaced by a file."""
    assert vedette("snapshot", "--source", "pattern", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()


def test_snapshot_is_not_written_to_a_terminal() -> None:
    """Binary data would only garble it."""
    primary, secondary = pty.openpty()
    try:
        outcome = subprocess.run(
            [sys.executable, "-m", "web", "snapshot", "--source", "pattern", "-"],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=secondary,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    finally:
        os.close(primary)
        os.close(secondary)
    assert outcome.returncode == 2
    assert b"redirect it or name a file" in outcome.stderr


def test_a_reader_that_closes_its_pipe_is_no_error() -> None:
    """`vedette config | head -1` prints no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "web", "config"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(DEADLINE) in (0, 1)


def test_ctrl_c_is_quiet() -> None:
    """A snapshot that waits for its camera ends with the shell's code for an interrupt, and says nothing."""
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"opening\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE)
    assert (process.returncode, said.strip()) == (130, b"")


def test_a_driver_that_hangs_does_not_keep_the_command() -> None:
    """While the capture thread is stuck in its driver the command still says what is wrong, and ends."""
    outcome = subprocess.run(
        [sys.executable, "-c", WAITING, "--timeout", "1"],
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(b"vedette: camera: no picture within 1 seconds, the camera is opening")
    assert len(outcome.stderr.splitlines()) == 1


WAITING: Final = f"""
import ctypes, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from camera.sources.pattern import Pattern

def hang(self):
    # A call into C that gives Python's lock away and does not come back, as a driver's does.
    print("opening", flush=True)
    ctypes.CDLL(None).pause()

Pattern.open = hang
sys.argv = ["vedette", "snapshot", "--source", "pattern", *sys.argv[1:], "still.jpg"]
from web.cli import main
main()
"""
