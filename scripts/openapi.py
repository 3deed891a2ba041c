"""Prints the OpenAPI document of this checkout, from which scripts/web makes the panel's types."""

import json

from omnitide.api.documents import with_documents
from omnitide.api.openapi import openapi_document
from omnitide.operations.registry import REGISTRY

if __name__ == "__main__":
    # No version: it changes with each release, and types do not.
    print(json.dumps(openapi_document(with_documents(REGISTRY), ""), indent=1, sort_keys=True))
