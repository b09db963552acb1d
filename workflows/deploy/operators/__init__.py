# SPDX-License-Identifier: Apache-2.0
"""The application's operators, in the order of the data's way: find, segment, write, verify, summarize."""
