# SPDX-License-Identifier: Apache-2.0
"""All kinds of input that people have, for the tests and for `benchmarks.field`."""

from __future__ import annotations

import field_annotations
import field_dicom
import field_formats
import field_frames
import field_layouts
import field_masks
import field_outputs
import field_values
from field_kind import Kind

KINDS: list[Kind] = [
    *field_annotations.KINDS,
    *field_values.KINDS,
    *field_formats.KINDS,
    *field_layouts.KINDS,
    *field_masks.KINDS,
    *field_outputs.KINDS,
    *field_dicom.KINDS,
    *field_frames.KINDS,
]
