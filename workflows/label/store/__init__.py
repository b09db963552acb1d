# SPDX-License-Identifier: Apache-2.0
"""What the label app keeps: studies, labels, model versions."""
