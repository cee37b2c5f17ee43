"""The errors of `camera`, each with the sentence a user should read.

    VedetteError
    ├── SettingError          (also ValueError)   a setting or an argument has a bad value
    ├── SourceError                               a source cannot be opened, or has gone
    │   ├── SourceMissing                         there is no such device, file or host
    │   ├── SourceDenied                          it is there, but we may not open it
    │   ├── SourceBusy                            somebody else is using it
    │   ├── SourceUnusable                        it opens, but gives nothing we can show
    │   └── SourceLost                            it was open and has gone: release, then reopen
    ├── JpegError             (also ValueError)   bytes that are not a whole JPEG
    └── FrameTimeout          (also TimeoutError) no frame came in the time given

Every message is one line, names the thing concerned and says what to do about it
where there is something to do.
"""


class VedetteError(Exception):
    """The root of all errors raised on purpose by Vedette."""


class SettingError(VedetteError, ValueError):
    """A setting or an argument has a value that cannot be used."""


class SourceError(VedetteError):
    """A source cannot be opened, or has gone."""


class SourceMissing(SourceError):
    """There is no such device, file or host."""


class SourceDenied(SourceError):
    """The source is there, but this user may not open it."""


class SourceBusy(SourceError):
    """Somebody else is using the source."""


class SourceUnusable(SourceError):
    """The source opens, but gives nothing that can be shown."""


class SourceLost(SourceError):
    """The source was open and has gone; release it before it is opened again."""


class JpegError(VedetteError, ValueError):
    """Bytes that are not one whole, well-formed JPEG."""


class FrameTimeout(VedetteError, TimeoutError):
    """No frame came in the time that was given."""
