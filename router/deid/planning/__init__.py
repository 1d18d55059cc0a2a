"""What happens to each attribute: the plan that Orthanc carries out."""
