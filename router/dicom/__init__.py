"""DICOM files as bytes: read within bounds, indexed, compared, compressed without loss."""
