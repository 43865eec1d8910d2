"""The SMART app against a stand-in authorization server in front of the real FHIR server."""
