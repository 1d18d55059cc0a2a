"""The truck's own Orthanc and disk: its REST interface, bodies in memory or in the spool folder."""
