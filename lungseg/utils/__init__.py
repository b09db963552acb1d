# SPDX-License-Identifier: Apache-2.0
"""Small helpers that every package may use: errors, files, text, parallel work."""
