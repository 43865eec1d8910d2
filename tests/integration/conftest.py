"""The real FHIR server for the tests of this folder."""

from tests.support.fhir_server import fhir_server

__all__ = ["fhir_server"]
