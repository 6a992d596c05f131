"""State machines as pictures: SVG, and Mermaid text.

Pure: a model in, text out, the same text for the same model. It must never put anything into a
picture that a browser would run or fetch.
"""

from __future__ import annotations

from avow.diagram.mermaid_text import mermaid
from avow.diagram.picture import svg

__all__ = ["mermaid", "svg"]
