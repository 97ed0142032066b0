"""Prices with tax, a delivery that costs something, and a fee for packaging."""

from decimal import Decimal
from typing import Any

from oscar.apps.checkout.applicator import SurchargeApplicator as OscarSurchargeApplicator
from oscar.apps.checkout.surcharges import FlatCharge
from oscar.apps.partner.prices import FixedPrice
from oscar.apps.partner.strategy import FixedRateTax, StockRequired, Structured, UseFirstStockRecord
from oscar.apps.shipping.methods import FixedPrice as FixedCharge
from oscar.apps.shipping.repository import Repository as OscarRepository

STANDARD_RATE = Decimal("0.19")
REDUCED_RATE = Decimal("0.07")
REDUCED_CLASS = "food"


class Delivery(FixedCharge):
    code = "delivery"
    name = "Delivery to your door"
    charge_excl_tax = Decimal("4.20")
    charge_incl_tax = Decimal("5.00")


class Packaging(FlatCharge):
    """A regulatory fee, as shops have to take for packaging in some countries."""

    name = "Packaging fee"
    code = "packaging"


class Taxed(UseFirstStockRecord, StockRequired, FixedRateTax, Structured):
    """Two rates of tax. Oscar's own rounding: gross prices of a unit have four decimals."""

    def get_rate(self, product: Any, stockrecord: Any) -> Decimal:
        reduced = product.get_product_class().slug == REDUCED_CLASS
        return REDUCED_RATE if reduced else STANDARD_RATE


class TaxAdded(Taxed):
    """Prices and offers without tax, which is added at the end, as in shops for businesses."""

    def pricing_policy(self, product: Any, stockrecord: Any) -> FixedPrice:
        price = super().pricing_policy(product, stockrecord)
        return FixedPrice(price.currency, price.excl_tax, price.tax)


class Selector:
    """Everybody pays the same."""

    def strategy(self, request: Any = None, user: Any = None, **kwargs: Any) -> Taxed:
        return Taxed(request)


class Repository(OscarRepository):
    methods = (Delivery(),)


class SurchargeApplicator(OscarSurchargeApplicator):
    def get_surcharges(self, basket: Any, **kwargs: Any) -> tuple[FlatCharge, ...]:
        return (Packaging(excl_tax=Decimal("0.84"), incl_tax=Decimal("1.00")),)
