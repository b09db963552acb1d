# SPDX-License-Identifier: Apache-2.0
"""Agreement with a reference, and means and intervals over cases."""
