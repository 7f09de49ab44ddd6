"""Skeletons as pictures: strips of stick figures (SVG, PNG) and moving ones (GIF).

One glance must tell whether joints, bones, axes and persons are right: left and right limbs have
their own colours, whoever is not the main actor is paler, what was not seen is not drawn, and the
legend says which axes point right and up.
"""

from halpgraph.drawing.files import save_gif, save_strip
from halpgraph.drawing.svg import strip_svg

__all__ = ["save_gif", "save_strip", "strip_svg"]
