"""DESCRIBES the door: the OpenAPI document of a system, one module for each thing that it speaks of."""

from __future__ import annotations

from avow.api.openapi.document import document, document_bytes

__all__ = ["document", "document_bytes"]
