# SPDX-License-Identifier: Apache-2.0
"""Read DICOM radiographs, and write DICOM objects that are derived from them."""
