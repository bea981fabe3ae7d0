"""What can go wrong with storage, in words for people, and of which kind it is.

    StorageError              application      anything that no class below fits
    ├── ObjectMissing         bad input        there is no such object (or no such manifest, picture, ...)
    ├── ObjectConflict        bad input        the key holds other bytes already, and they may not be replaced
    ├── SourceRefused         bad input        what a row names is not read: its kind, its place, its size
    └── StorageUnavailable    storage          nothing here can be read or written until somebody repairs it (`remedy`)
        ├── PlaceForbidden    storage          this account may not use this file or folder; it may well use others
        └── StorageBusy       infrastructure   nor now, but perhaps later: overloaded, restarting, not reachable, late
            ├── AnswerCutOff  infrastructure   an answer broke off half-way
            └── AnswerLate    infrastructure   there was no (whole) answer in the time that there is

Before a StorageBusy is raised, storage was asked as often as `retry_policy` allows. Errors of the operating system and
the answers of S3 are translated here; exceptions of botocore's and fsspec's own in `filesystems`.
"""

from __future__ import annotations

import errno

from manifests.errors import ErrorKind, NightreelError
from manifests.masking import without_secrets

__all__ = [
    "AnswerCutOff",
    "AnswerLate",
    "ObjectConflict",
    "ObjectMissing",
    "PlaceForbidden",
    "SourceRefused",
    "StorageBusy",
    "StorageError",
    "StorageUnavailable",
    "from_os_error",
    "from_s3_code",
    "from_web_status",
    "s3_code",
]


class StorageError(NightreelError):
    """An operation on storage failed. `message` says what and where, `remedy` (may be empty) what to do about it.

    Both go to `args`, so that the error survives pickling on its way home from a Ray actor.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message, self.remedy = (str(it) for it in self.args)

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


class ObjectMissing(StorageError):
    """There is nothing under this key or URI."""

    kind = ErrorKind.BAD_INPUT


class ObjectConflict(StorageError):
    """The key holds different bytes already, and storage never replaces those unasked."""

    kind = ErrorKind.BAD_INPUT


class SourceRefused(StorageError):
    """What somebody points at is not read, whatever lies there: its kind, its place or its size is not allowed."""

    kind = ErrorKind.BAD_INPUT


class StorageUnavailable(StorageError):
    """Storage as a whole is of no use: not reachable, not permitted, full, or misnamed. `remedy` is never empty."""

    kind = ErrorKind.STORAGE

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)


class PlaceForbidden(StorageUnavailable):
    """The operating system keeps this account from one file or folder: another account's, or one that was closed."""


class StorageBusy(StorageUnavailable):
    """Storage is of no use at this moment, and may well be again without anybody's help."""

    kind = ErrorKind.INFRASTRUCTURE


class AnswerCutOff(StorageBusy):
    """What was read is not whole; nothing of it is used."""


class AnswerLate(StorageBusy):
    """A server had its time, and has not answered, or not to the end. It is not asked again at once."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_UNREACHABLE = {
    errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN,
    errno.ENETDOWN, errno.EPIPE, errno.ETIMEDOUT, errno.ESTALE, errno.ENOTCONN,
}  # fmt: skip


def from_os_error(error: OSError, place: str) -> StorageError:
    """Translate an error of the operating system (or one of fsspec's that looks like it) met at `place`, a URI."""
    number = error.errno
    if isinstance(error, FileNotFoundError) or number == errno.ENOENT:
        return ObjectMissing(f"nothing at '{place}'")
    if number in _FULL:
        return StorageUnavailable(
            f"no space left on the disk of '{place}'", "free space there or choose another output, then start again"
        )
    if number == errno.EROFS:
        return StorageUnavailable(f"'{place}' is on a read-only file system", "choose an output that can be written")
    if isinstance(error, PermissionError) or number in _FORBIDDEN:
        # the system's own answer is about a file or folder, which it names; a server's about all that it was asked for
        forbidden = PlaceForbidden if number in _FORBIDDEN else StorageUnavailable
        named = str(error.filename) if str(error.filename).startswith(f"{place}/") else place
        return forbidden(
            f"not permitted: '{named}'", "give this user (or this key) the right to it, or choose another place"
        )
    if number in _NO_LINKS:
        return StorageUnavailable(
            f"the file system of '{place}' has no hard links, which a commit needs to be exclusive",
            "choose a folder on a POSIX file system, or an object store by its own URI (s3://, gs://)",
        )
    if number in _NOT_A_FOLDER or isinstance(error, NotADirectoryError | FileExistsError):
        return StorageError(f"'{place}' needs a folder where a file is", "move that file, or use another output")
    if number == errno.EISDIR or isinstance(error, IsADirectoryError):
        return StorageError(f"'{place}' needs a file where a folder is", "name a file, or move that folder")
    if number == errno.ENXIO:
        return StorageError(f"'{place}' is a device, a pipe or a socket", "name a regular file")
    if number == errno.ENAMETOOLONG:
        return StorageError(f"a name in '{place}' is too long for its file system", "use a shorter path")
    if isinstance(error, TimeoutError):
        return StorageBusy(f"no answer in time from '{place}'", "check the server and the network")
    if isinstance(error, ConnectionError) or number in _UNREACHABLE:
        return StorageBusy(f"cannot reach '{place}'", "check the server and the network, then try again")
    return StorageError(f"'{place}': {without_secrets(error.strerror or str(error) or type(error).__name__)}")


_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) to a pair that this endpoint knows"
_SESSION = "sign in again, or set a fresh AWS_SESSION_TOKEN with its key and secret"
_REGION = "set AWS_DEFAULT_REGION to the region of the bucket (and AWS_ENDPOINT_URL if it is not on AWS)"
_BUSY = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted", "Throttling",
    "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded", "500", "502", "503", "504", "429",
}  # fmt: skip
_UNAVAILABLE: dict[str, tuple[str, str]] = {
    # the codes as S3 answers them, and the bare HTTP status where an answer has no body (HEAD)
    **dict.fromkeys(("NoSuchBucket",), ("no such bucket: '{place}'", "create the bucket, or name one that exists")),
    **dict.fromkeys(("InvalidAccessKeyId", "NotSignedUp"), ("the access key is not known: '{place}'", _CREDENTIALS)),
    **dict.fromkeys(("SignatureDoesNotMatch",), ("the secret key is wrong: '{place}'", _CREDENTIALS)),
    **dict.fromkeys(
        ("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "401", "Forbidden", "InvalidSecurity"),
        ("not permitted: '{place}'", "give this key the right to list, read and write there, or use another key"),
    ),
    **dict.fromkeys(
        ("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "ExpiredTokenException"),
        ("the session's token is not valid (any more): '{place}'", _SESSION),
    ),
    **dict.fromkeys(
        ("RequestTimeTooSkewed", "RequestExpired"), ("this machine's clock is off: '{place}'", "set the clock")
    ),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "301", "307",
         "IllegalLocationConstraintException"),
        ("the bucket is in another region: '{place}'", _REGION),
    ),
    **dict.fromkeys(
        ("InvalidBucketName", "InvalidURI"), ("not a bucket's name: '{place}'", "write s3://bucket/prefix")
    ),
    **dict.fromkeys(
        ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"),
        ("no space left for '{place}'", "free space or choose another output"),
    ),
    **dict.fromkeys(
        ("NotImplemented", "501", "405", "MethodNotAllowed"),
        ("the server cannot do what a commit needs (PUT with If-None-Match): '{place}'",
         "use a server that can: AWS S3, Google's, MinIO, Ceph, SeaweedFS"),
    ),
}  # fmt: skip


_WEB_BUSY = {408, 425, 429, 500, 502, 503, 504}


def from_web_status(status: int, place: str) -> StorageError:
    """Translate the status with which a web server refused `place`."""
    if status in (404, 410):
        return ObjectMissing(f"nothing at '{place}'")
    if status in _WEB_BUSY:
        return StorageBusy(f"the server answers {status}: '{place}'", "try again later")
    if status in (401, 403, 407):
        return StorageUnavailable(f"not permitted ({status}): '{place}'", "give an address that anybody may read")
    return StorageError(f"'{place}': the server answers {status}")


def s3_code(error: BaseException) -> str | None:
    """Return what S3 answered (`NoSuchKey`, `412`), if `error` or anything that caused it is such an answer."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict) and "Error" in response:
            return str(response["Error"].get("Code") or response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        seen = seen.__cause__
    return None


def from_s3_code(code: str, place: str, detail: str) -> StorageError:
    """Translate an answer of S3 met at `place`; `detail` is the server's own sentence, used if the code is unknown."""
    if code in ("NoSuchKey", "NoSuchVersion", "404"):
        return ObjectMissing(f"nothing at '{place}'")
    if code in _BUSY:
        return StorageBusy(
            f"the server is overloaded or restarting: '{place}'", "try again later, or with fewer actors"
        )
    if code in _UNAVAILABLE:
        message, remedy = _UNAVAILABLE[code]
        return StorageUnavailable(message.format(place=place), remedy)
    return StorageError(f"'{place}': S3 answers {code}: {without_secrets(detail)}")
