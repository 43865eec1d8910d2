"""FHIR resources in, clinical facts out. Knows no service, no rule and no threshold."""
