"""What the service is made of: docs/sbom.cdx.json and docs/licences.md, written by `python3 dev.py sbom`."""
