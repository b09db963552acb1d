# SPDX-License-Identifier: Apache-2.0
"""Watch an Orthanc: segment each study that arrives, and store the results in it."""
