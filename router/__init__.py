"""The edge router: from the truck's Orthanc to the cloud PACS, exactly once, without identity."""

__version__ = "0.1.0"
