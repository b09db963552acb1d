# SPDX-License-Identifier: Apache-2.0
"""The MONAI Deploy application: studies in, segmentations and overlays out; and the worker beside Orthanc."""
