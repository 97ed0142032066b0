"""The demo has no pictures of its products: each has the one that Oscar brings for that."""

from typing import Any, NamedTuple

from django.templatetags.static import static
from oscar.core.thumbnails import AbstractThumbnailer


class Picture(NamedTuple):
    url: str


class NoPicture(AbstractThumbnailer):
    def generate_thumbnail(self, source: Any, **opts: Any) -> Picture:
        return Picture(static("oscar/img/image_not_found.jpg"))

    def delete_thumbnails(self, source: Any) -> None:
        """There are none."""
