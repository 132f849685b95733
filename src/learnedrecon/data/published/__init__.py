"""Datasets in the folders and files in which their authors publish them."""
