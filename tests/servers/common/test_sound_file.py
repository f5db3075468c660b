"""A file of sound is read forward, whatever its header says."""

from __future__ import annotations

import io
import tempfile

from servers.common import sound_file


def test_a_header_that_leads_before_the_beginning_is_no_exception_of_a_callback() -> None:
    """pytest would find one that nobody could catch."""
    with tempfile.TemporaryFile() as opened:
        opened.write(b"0123456789")
        for file in (io.BytesIO(b"0123456789"), opened):
            within = sound_file._Within(file)
            assert (within.seek(4), within.seek(-1)) == (4, 4)
            assert (within.read(2), within.tell()) == (b"45", 6)
