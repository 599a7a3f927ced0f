"""Thumbnails beside the pictures they are made from: small files that can be made again, and so are never waited for.

They are named by the hash of the bytes as received, which ledger and manifest both know. It refuses to make one, and to
fail the picture that one belongs to.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress

from batchgen.errors import StorageError
from batchgen.storage.disk import Folders, create, write_all
from batchgen.storage.looks import thumbnail_name


def keep_thumbnails(root: int, parts: int, thumbnails: Mapping[str, bytes]) -> None:
    """Write thumbnails (source hash to WebP; empty ones are left out) below the output folder `root`. Never raises.

    Unfinished they lie in the folder `parts`, where the next run throws away what a killed one left.

    No link is followed, and nothing is synced: what a power cut takes, the next gallery makes again.
    """
    with Folders(root, set()) as folders:
        for source_sha256, data in thumbnails.items():
            if data:
                with suppress(OSError, StorageError):
                    _keep(folders, parts, thumbnail_name(source_sha256), data)


def _keep(folders: Folders, parts: int, name: str, data: bytes) -> None:
    *above, base = name.split("/")
    folder = folders.open_to_change(tuple(above))
    part = f"{base}.{secrets.token_hex(4)}.part"
    descriptor = create(part, parts)
    try:
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)
        os.replace(part, base, src_dir_fd=parts, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(part, dir_fd=parts)
        raise
