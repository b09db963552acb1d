# SPDX-License-Identifier: Apache-2.0
"""Small helpers for every package: errors, files, text, parallel work, imports."""
