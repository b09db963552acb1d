# SPDX-License-Identifier: Apache-2.0
"""The data of the label app: studies, labels, model versions."""
