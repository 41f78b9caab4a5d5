"""Pipelines as the replaced services wrote them, in this platform's form: one step, from old files to new ones.

Three forms are known (``shapes``). What a pipeline says is translated, what the platform does by itself is told as a
remark, and what cannot be kept is refused with file, line and reason. Nothing here writes a file.
"""
