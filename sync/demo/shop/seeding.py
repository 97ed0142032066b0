"""A catalogue, people, a voucher and some orders, all by Oscar's own classes."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.utils import timezone
from oscar.core.loading import get_class, get_model

from shop.logins import CLERK, CUSTOMER, PASSWORD, STAFF, VOUCHER
from shop.paying import payment_source
from shop.prices import REDUCED_CLASS, Delivery, SurchargeApplicator, Taxed

# Title, SKU, net price, class.
PRODUCTS = (
    ("Rain jacket", "rain-jacket", "74.79", "clothing"),
    ("Wool socks", "wool-socks", "10.08", "clothing"),
    ("Hiking boots", "hiking-boots", "125.21", "clothing"),
    ("Tent, two persons", "tent-two", "184.03", "gear"),
    ("Camping stove", "camping-stove", "45.38", "gear"),
    ("Trail mix", "trail-mix", "5.61", REDUCED_CLASS),
)
# SKU and units of each order, how it was paid, and whether it has left.
ORDERS = (
    ((("rain-jacket", 1), ("wool-socks", 3)), "visa", True),
    ((("hiking-boots", 1), ("trail-mix", 4)), "visa", True),
    ((("tent-two", 1),), "visa-refund-fails", True),
    ((("camping-stove", 2),), "wire-transfer", True),
    ((("wool-socks", 2), ("trail-mix", 1)), "visa", False),
)
_VIEWS = ("view_order", "change_order", "view_orderstats")


def fill() -> None:
    """Everything. On an empty database."""
    Site.objects.filter(pk=1).update(domain="shop.example", name="Northwind Outdoor")
    get_model("address", "Country").objects.create(
        iso_3166_1_a2="DE", iso_3166_1_a3="DEU", iso_3166_1_numeric="276",
        printable_name="Germany", name="Germany", display_order=0, is_shipping_country=True,
    )  # fmt: skip
    get_model("order", "ShippingEventType").objects.create(name="Shipped", code="shipped")
    make_catalogue()
    make_people()
    make_voucher()
    for lines, way, leaves in ORDERS:
        order = place_order(lines, way)
        if leaves:
            ship(order)


def make_catalogue() -> None:
    category = get_model("catalogue", "Category").add_root(name="Outdoor")
    partner = get_model("partner", "Partner").objects.create(name="Northwind", code="northwind")
    classes = {
        slug: get_model("catalogue", "ProductClass").objects.create(
            name=slug.capitalize(), slug=slug, requires_shipping=True, track_stock=True
        )
        for slug in {each[3] for each in PRODUCTS}
    }
    for title, sku, price, slug in PRODUCTS:
        product = get_model("catalogue", "Product").objects.create(
            title=title, upc=sku, product_class=classes[slug], slug=sku
        )
        product.categories.add(category)
        get_model("partner", "StockRecord").objects.create(
            product=product, partner=partner, partner_sku=sku, price=Decimal(price),
            price_currency="EUR", num_in_stock=1000,
        )  # fmt: skip


def make_people() -> None:
    users = get_user_model().objects
    users.create_user("ana", CUSTOMER, PASSWORD, first_name="Ana", last_name="Lind")
    staff = users.create_user("staff", STAFF, PASSWORD, is_staff=True)
    clerk = users.create_user("clerk", CLERK, PASSWORD, is_staff=True)
    seen = Permission.objects.filter(content_type__app_label="order", codename__in=_VIEWS)
    clerk.user_permissions.set(seen)
    staff.user_permissions.set(
        [*seen, Permission.objects.get(content_type__app_label="refundry_oscar",
                                       codename="refunds")]
    )  # fmt: skip


def make_voucher() -> None:
    """Ten percent off, once for each customer and order."""
    everything = get_model("offer", "Range").objects.create(
        name="Everything", includes_all_products=True
    )
    condition = get_model("offer", "Condition").objects.create(
        range=everything, type="Count", value=1
    )
    benefit = get_model("offer", "Benefit").objects.create(
        range=everything, type="Percentage", value=10
    )
    offer = get_model("offer", "ConditionalOffer").objects.create(
        name="Ten percent", offer_type="Voucher", condition=condition, benefit=benefit
    )
    now = timezone.now()
    voucher = get_model("voucher", "Voucher").objects.create(
        name="Ten percent", code=VOUCHER, usage="Multi-use",
        start_datetime=now - timedelta(days=1), end_datetime=now + timedelta(days=365),
    )  # fmt: skip
    voucher.offers.add(offer)


def place_order(
    lines: Sequence[tuple[str, int]],
    way: str = "visa",
    voucher: str = "",
    strategy: type[Taxed] = Taxed,
) -> Any:
    """An order of the customer, as the checkout makes it. lines: SKU and units."""
    user = get_user_model().objects.get(email=CUSTOMER)
    basket = _basket(user, lines, voucher, strategy)
    delivery = Delivery()
    charge = delivery.calculate(basket)
    surcharges = SurchargeApplicator().get_applicable_surcharges(basket)
    total = get_class("checkout.calculators", "OrderTotalCalculator")().calculate(
        basket, charge, surcharges
    )
    order = get_class("order.utils", "OrderCreator")().place_order(
        basket, total, delivery, charge, user=user, shipping_address=_address(),
        surcharges=surcharges,
    )  # fmt: skip
    basket.submit()
    source = payment_source(way, total)
    source.order = order
    source.save()
    return order


def ship(order: Any, quantities: Sequence[int] | None = None, reference: str = "") -> Any:
    """All units, or so many of each line, have left."""
    handler = get_class("order.processing", "EventHandler")()
    event_type = get_model("order", "ShippingEventType").objects.get(code="shipped")
    lines = list(order.lines.all())
    units = list(quantities) if quantities is not None else [line.quantity for line in lines]
    chosen = [(line, n) for line, n in zip(lines, units, strict=True) if n]
    return handler.handle_shipping_event(
        order, event_type, [line for line, _ in chosen], [n for _, n in chosen],
        reference=reference,
    )  # fmt: skip


def _basket(
    user: Any, lines: Sequence[tuple[str, int]], voucher: str, strategy: type[Taxed]
) -> Any:
    basket = get_model("basket", "Basket").objects.create(owner=user)
    basket.strategy = strategy()
    for sku, quantity in lines:
        product = get_model("catalogue", "Product").objects.get(upc=sku)
        basket.add_product(product, quantity)
    if voucher:
        basket.vouchers.add(get_model("voucher", "Voucher").objects.get(code=voucher))
    get_class("offer.applicator", "Applicator")().apply(basket, user)
    return basket


def _address() -> Any:
    address = get_model("order", "ShippingAddress")(
        first_name="Ana", last_name="Lind", line1="Hafenstraße 12", line4="Hamburg",
        postcode="20457", country_id="DE",
    )  # fmt: skip
    address.save()
    return address
