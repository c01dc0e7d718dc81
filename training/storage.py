"""Where Ray Train keeps checkpoints: a folder that all machines see, or a bucket."""

from __future__ import annotations

from defects.errors import ModelError

SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs")
"""What pyarrow, and so Ray Train, opens by an address."""


def check_storage(place: str) -> None:
    """Refuse an address that the workers could not open, before they start.

    Raises
    ------
    ModelError
        For an unknown scheme, or an address without a path.
    """
    scheme, mark, rest = place.partition("://")
    if not mark:
        return
    if scheme not in SCHEMES:
        raise ModelError(
            f"checkpoints cannot be kept at {place}: write a folder, or an address that begins "
            f"with {', '.join(f'{s}://' for s in SCHEMES)}"
        )
    if not rest.strip("/"):
        raise ModelError(f"{place} names no bucket or folder")


def forget_run(place: str, name: str) -> None:
    """Remove a run's checkpoints, as far as they can be; the adapter no longer needs them."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FileType

    try:
        if "://" in place:
            system, path = FileSystem.from_uri(place)
        else:
            from pyarrow.fs import LocalFileSystem

            system, path = LocalFileSystem(), place
        folder = f"{path.rstrip('/')}/{name}"
        if system.get_file_info(folder).type == FileType.Directory:
            system.delete_dir(folder)
    except (OSError, ArrowException):
        return
