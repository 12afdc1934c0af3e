"""Records: JSON that a run leaves, as frozen types; this is where it is read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from cofi_cli.errors import UNREACHABLE, CofiError, fault_in
from cofi_cli.runs.atomic import write_text

Version = Literal[1]
"""Of the records of this release; a record of another version is not read."""


def _in_folder(name: str) -> str:
    if name in ("", ".", "..") or any(char in name for char in "/\\\0"):
        raise ValueError("should be the name of a file in the same folder")
    return name


FileName = Annotated[str, AfterValidator(_in_folder)]
"""Of a file that lies beside the record, which may come from a stranger."""


class Part(BaseModel):
    """A part of a record: frozen, its numbers finite, and a key that it does not know an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Record(Part):
    """The content of one JSON file."""

    what: ClassVar[str]
    """What an error calls it, such as ``the report of a run``."""
    again: ClassVar[str]
    """The command that writes it again."""

    version: Version = 1

    @classmethod
    def read(cls: type[R], path: Path) -> R:
        """Read a file.

        Raises:
            CofiError: it cannot be read, or holds something else (exit code 6).
        """
        try:
            record = cls.model_validate_json(path.read_bytes(), strict=True)
        except OSError as error:
            raise cls._unreadable(path, error.strerror or str(error)) from error
        except ValidationError as error:
            if (first := error.errors()[0])["type"] == "json_invalid":
                raise cls._unreadable(path, first["msg"]) from error
            raise cls._foreign(path, fault_in(error, first="version")) from error
        if "version" not in record.model_fields_set:
            raise cls._foreign(path, "version is missing")
        return record

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    def as_json(self) -> dict[str, Any]:
        """Return what the file holds, as plain values."""
        return self.model_dump(mode="json")

    @classmethod
    def _unreadable(cls, path: Path, why: str) -> CofiError:
        return CofiError(f"Cannot read {path}: {why}.", hint=cls.again, exit_code=UNREACHABLE)

    @classmethod
    def _foreign(cls, path: Path, why: str) -> CofiError:
        return CofiError(
            f"{path} is not {cls.what}: {why}.",
            hint=f"It is of another version of cofi or of another tool. {cls.again}",
            exit_code=UNREACHABLE,
        )


R = TypeVar("R", bound=Record)
