# SPDX-License-Identifier: Apache-2.0
"""`lungseg predict --ray`: radiographs from folders, S3 and Parquet files, segmented by a cluster of Ray."""
