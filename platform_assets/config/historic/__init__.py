"""Pipelines as the replaced services wrote them, in this platform's form: one step, from old files to new ones.

Three forms are known (``shapes``). What a pipeline says is translated, what the platform does by itself is told as a
remark, and what cannot be kept is refused with file, line and reason. Nothing here writes a file.
"""

from platform_assets.config.historic.model import Translation
from platform_assets.config.historic.shapes import Shape, shape_of
from platform_assets.config.historic.translation import translate_tree

__all__ = ["Shape", "Translation", "shape_of", "translate_tree"]
