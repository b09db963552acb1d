# SPDX-License-Identifier: Apache-2.0
"""The operators of the application, in the order of the data: find, segment, write, verify, summarize."""
