# SPDX-License-Identifier: Apache-2.0
"""Whatever people have is taken, or refused with the sentence that helps."""

from __future__ import annotations

import re

import pytest
from field_inputs import KINDS
from field_kind import FIELD


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_it_is_taken_or_refused_with_what_helps(kind, command, tmp_path, monkeypatch):
    if kind.real and FIELD is None:
        pytest.skip("set LUNGSEG_DATA to the folder of the public radiographs")
    monkeypatch.chdir(tmp_path)
    done = command(*kind.make(tmp_path))
    printed = done.out + done.err
    assert done.status == kind.status, printed
    for words in kind.said:
        assert re.search(words, printed), printed
    if kind.check:
        kind.check(tmp_path)
