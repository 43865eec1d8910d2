"""Made-up patients, and the read-only FHIR server that holds them. None of it runs in production."""
