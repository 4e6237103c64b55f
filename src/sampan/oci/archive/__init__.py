"""Images in single files: OCI layout archives and what `docker save` writes, in and out."""

from sampan.oci.archive.load import InvalidArchiveError, import_archive
from sampan.oci.archive.save import Format, export_archive

__all__ = ["Format", "InvalidArchiveError", "export_archive", "import_archive"]
