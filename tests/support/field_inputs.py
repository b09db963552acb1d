# SPDX-License-Identifier: Apache-2.0
"""All kinds of input that people have, for the tests and for `benchmarks.field`."""

from __future__ import annotations

import field_frames
from field_kind import Kind

KINDS: list[Kind] = [
    *field_frames.KINDS,
]
