"""Which classes of Oscar's the demo has its own of, without copies of Oscar's apps."""

from importlib import import_module

from oscar.core.loading import default_class_loader

# Oscar's module -> ours.
_OURS = {
    "partner.strategy": "shop.prices",
    "shipping.repository": "shop.prices",
    "checkout.applicator": "shop.prices",
    "checkout.views": "shop.checkout",
    "catalogue.views": "shop.catalogue",
}


def class_loader(label: str, names: list[str], prefix: str = "oscar.apps") -> list[type]:
    """Oscar's classes of a module, those that ours has in their place."""
    found = default_class_loader(label, names, prefix)
    if label not in _OURS:
        return found
    ours = import_module(_OURS[label])
    return [getattr(ours, name, oscars) for name, oscars in zip(names, found, strict=True)]
