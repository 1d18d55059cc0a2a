"""From RECEIVED to ANONYMIZED: a copy of each instance, made by Orthanc and passed by the gate."""
