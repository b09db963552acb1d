# SPDX-License-Identifier: Apache-2.0
"""The addresses that other machines cannot reach."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
