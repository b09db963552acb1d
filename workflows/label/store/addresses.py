# SPDX-License-Identifier: Apache-2.0
"""The addresses that no other machine can reach."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
