# SPDX-License-Identifier: Apache-2.0
"""The address of the studies: a password in it is refused and not repeated."""

from __future__ import annotations

import pytest

from lungseg.utils.errors import UsageError
from lungseg.workflows.label.setup.start import start


@pytest.mark.safety("password-in-url")
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://user:s3cret@127.0.0.1:8042/dicom-web", "url-with-password"),
        ("https://s3cret@pacs.example/dicom-web", "url-with-password"),
        ("http://user:s3@cret@127.0.0.1/", "url-with-password"),
        ("HTTP://user:s3cret@127.0.0.1/", "url-invalid"),
        ("ftp://user:s3cret@127.0.0.1/", "url-invalid"),
        ("http://user:s3cret@[/dicom-web", "url-invalid"),
        ("http://user:s3cret@pacs:port/dicom-web", "url-invalid"),
        ("http://user:s3cret@/dicom-web", "url-invalid"),
        ("http:///dicom-web", "url-invalid"),
    ],
)
def test_a_password_in_the_address_of_the_studies_is_refused(url, code):
    with pytest.raises(UsageError) as refused:
        start(url)
    assert refused.value.code == code
    assert "cret" not in str(refused.value)


@pytest.mark.safety("password-in-url")
@pytest.mark.parametrize("door", ["start", "check"])
def test_the_commands_name_the_remedy_and_not_the_password(command, door, tmp_path):
    done = command("label", door, "--studies", "http://user:s3cret@127.0.0.1:8042/dicom-web", "--workspace", tmp_path)
    assert done.status != 0
    assert "MONAI_LABEL_DICOMWEB_PASSWORD" in done.out + done.err
    assert "cret" not in done.out + done.err
