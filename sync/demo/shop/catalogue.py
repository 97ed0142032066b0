"""The list of products, without a search engine: Oscar's own list asks one."""

from typing import Any

from django.views.generic import ListView
from oscar.core.loading import get_model


class CatalogueView(ListView):
    """All that can be bought, by title."""

    template_name = "shop/catalogue.html"
    context_object_name = "products"

    def get_queryset(self) -> Any:
        return get_model("catalogue", "Product").objects.browsable().order_by("title")


class ProductCategoryView(CatalogueView):
    """There is one category."""
