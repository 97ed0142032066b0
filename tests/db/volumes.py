"""Large tables, filled by the database itself: what lists read, skewed as in a shop's years.

Only what lists look at is true to life; the books of these orders do not add up. So they are laid
in a database of their own.
"""

from refundry.db.database import Database

ORDERS = 40_000
OTHERS = 10_000
DAYS = 400
"""One order every 864 seconds of the last 400 days, and a refund for every second one."""

# i counts from 1, the oldest, to the newest. n: how many there are. In the state of most orders
# are 96 in a hundred; of the rest some are young, some anywhere, and a few very old.
_ORDERS = """
INSERT INTO orders (account_id, live, id, created_at, updated_at, version, event_sequence, currency,
    exponent, state, previous_state, pending_payment_at, in_review_at, accepted_at, blocked_at,
    cancelled_at, fulfilled_at, complete_at, returned_at, fraud_state, fraud_review_opened_at,
    fraud_blocked_at, fraud_passed_at, total_minor, captured_minor, refunded_minor, upstream_id,
    customer_id, checkout_id, application_id, email, locale, browser_ip, customer_type, session_id,
    client_secret, details)
SELECT $1, false, $1 || i, c.at,
       CASE WHEN i % 400 = 0 THEN now() - i * interval '1 second'
            ELSE c.at + interval '3 days' END,
       1, 0, CASE WHEN i BETWEEN 900 AND 920 THEN 'SEK' WHEN i % 10 = 0 THEN 'EUR' ELSE 'USD' END,
       2, s.state, CASE WHEN s.state = 'dispute' THEN 'complete' END,
       CASE WHEN i % 50 = 0 THEN c.at END,
       CASE WHEN i % 900 = 0 THEN c.at END,
       c.at,
       CASE WHEN s.state = 'blocked' THEN c.at + interval '1 hour' END,
       CASE WHEN s.state = 'cancelled' THEN c.at + interval '1 day' END,
       CASE WHEN s.state NOT IN ('accepted', 'blocked') THEN c.at + interval '1 day' END,
       CASE WHEN s.state IN ('complete', 'returned')
            -- Imported, as it seems before it was made.
            THEN CASE WHEN i % 8000 = 5 THEN c.at - interval '30 days'
                      ELSE c.at + interval '2 days' END END,
       CASE WHEN s.state = 'returned' THEN c.at + interval '20 days' END,
       CASE WHEN i % 900 = 0 THEN 'passed' WHEN s.state = 'blocked' THEN 'blocked'
            WHEN i BETWEEN 1200 AND 1210 THEN 'review_opened' END,
       CASE WHEN i % 900 = 0 OR i BETWEEN 1200 AND 1210 THEN c.at END,
       CASE WHEN s.state = 'blocked' THEN c.at END,
       CASE WHEN i % 900 = 0 THEN c.at + interval '1 hour' END,
       CASE WHEN i % 10000 = 3 THEN 99000000 ELSE 1000 + i % 50000 END, 0,
       CASE WHEN i % 10000 = 3 THEN 98000000 WHEN i % 20 = 0 THEN 100 + i % 900 ELSE 0 END,
       'up-' || i, 'customer-' || i % 9000,
       CASE WHEN i % 3 = 0 THEN 'checkout-' || i END,
       CASE WHEN i BETWEEN 700 AND 720 THEN 'old-app' ELSE 'web' END,
       'Shopper' || i % 9000 || '@example.com',
       CASE WHEN i BETWEEN 800 AND 820 THEN 'sv_SE' ELSE 'en_US' END,
       '10.0.' || i % 90 || '.' || i % 100,
       CASE WHEN i BETWEEN 850 AND 860 THEN 'business' ELSE 'individual' END,
       's', 's', repeat('x', 300)
  FROM generate_series(1, $2::integer) AS i,
       LATERAL (SELECT now() - ($2 - i) * interval '864 seconds' AS at) AS c,
       LATERAL (SELECT CASE WHEN i BETWEEN 500 AND 505 THEN 'blocked'
                            WHEN i BETWEEN 600 AND 604 THEN 'pending_payment'
                            WHEN i % 5000 = 9 THEN 'dispute'
                            WHEN i % 100 = 1 THEN 'cancelled'
                            WHEN i % 100 = 2 THEN 'returned'
                            WHEN i > $2 - 400 THEN 'accepted'
                            ELSE 'complete' END AS state) AS s
"""

_LINES = """
INSERT INTO order_lines (account_id, live, order_id, position, id, sku_id, quantity, ordered,
    captured, cancelled, processing, held, refunded, fulfilled_units, cancelled_units,
    captured_units, state, subscription_id)
SELECT $1, false, $1 || i, p, $1 || i || '-' || p,
       CASE WHEN i % 9000 = 18 THEN 'rare-sku' WHEN i % 3 = 0 THEN 'tee'
            ELSE 'sku-' || i % 2000 END,
       1, z.cells, z.cells, z.cells, z.cells, z.cells, z.cells, 1, 0, 0, 'fulfilled',
       CASE WHEN i % 200 = 0 THEN 'subscription-' || i % 4000 END
  FROM generate_series(1, $2::integer) AS i, generate_series(0, 1) AS p,
       LATERAL (SELECT array_fill(0::bigint, ARRAY[8]) AS cells) AS z
"""

_CHARGES = """
INSERT INTO charges (account_id, live, order_id, position, id, created_at, amount_minor, state,
    type, source_id, source_type)
SELECT o.account_id, false, o.id, 0, 'ch-' || o.id, o.created_at, 1000,
       CASE WHEN i BETWEEN 300 AND 310 THEN 'failed' WHEN o.state = 'accepted' THEN 'capturable'
            ELSE 'complete' END,
       CASE WHEN i BETWEEN 320 AND 330 THEN 'merchant_initiated' ELSE 'customer_initiated' END,
       'source-' || i % 20000, 'creditCard'
  FROM generate_series(1, $2::integer) AS i
  JOIN orders o ON o.account_id = $1 AND o.id = $1 || i
"""

_FULFILLMENTS = """
INSERT INTO fulfillments (account_id, live, order_id, id, created_at, items, sku_ids,
    operation_ids, tracking_company, tracking_number)
SELECT o.account_id, false, o.id, 'ff-' || o.id, o.created_at + interval '1 day', '[]',
       ARRAY[CASE WHEN i % 9000 = 18 THEN 'rare-sku' WHEN i % 3 = 0 THEN 'tee'
                  ELSE 'sku-' || i % 2000 END], '{}',
       CASE WHEN i BETWEEN 300 AND 310 THEN 'Slow Boats' ELSE 'Fast Vans' END, 'track-' || i
  FROM generate_series(1, $2::integer) AS i
  JOIN orders o ON o.account_id = $1 AND o.id = $1 || i
"""

_REFUNDS = """
INSERT INTO refunds (account_id, live, order_id, id, created_at, currency, exponent, amount_minor,
    refunded_minor, sku_ids, state, reason, failure_reason, share_lines, shares, refunded_shares)
SELECT o.account_id, false, o.id, 're-' || o.id, o.created_at + interval '9 days', 'USD', 2,
       f.amount, CASE WHEN s.state = 'succeeded' THEN f.amount ELSE 0 END,
       CASE WHEN i % 9000 = 18 THEN ARRAY['rare-sku'] WHEN i % 30 = 0 THEN ARRAY['tee']
            ELSE '{}' END,
       s.state, CASE WHEN i BETWEEN 1000 AND 1010 THEN 'it glowed' WHEN i % 4 = 0 THEN 'returned'
                     END,
       CASE s.state WHEN 'failed' THEN CASE WHEN i < 800 THEN 'expired_card' ELSE 'declined' END
            END,
       '{0}', f.cells, CASE WHEN s.state = 'succeeded' THEN f.cells END
  FROM generate_series(2, $2::integer, 2) AS i
  JOIN orders o ON o.account_id = $1 AND o.id = $1 || i,
       LATERAL (SELECT CASE WHEN i BETWEEN 700 AND 760 THEN 'failed' WHEN i % 300 = 0 THEN 'failed'
                            WHEN i > $2 - 200 THEN 'pending' ELSE 'succeeded' END AS state) AS s,
       LATERAL (SELECT CASE WHEN i % 10000 = 4 THEN 7700000 ELSE 500 + i % 2000 END AS minor) AS a,
       LATERAL (SELECT a.minor AS amount, ARRAY[a.minor, 0, 0, 0, 0, 0, 0, 0]::bigint[] AS cells)
            AS f
"""

_RETURNS = """
INSERT INTO returns (account_id, live, order_id, id, created_at, updated_at, state)
SELECT o.account_id, false, o.id, 'rt-' || o.id, o.created_at, o.created_at,
       CASE WHEN i BETWEEN 300 AND 310 THEN 'created' ELSE 'accepted' END
  FROM generate_series(1, $2::integer) AS i
  JOIN orders o ON o.account_id = $1 AND o.id = $1 || i
"""

_RETURN_ITEMS = """
INSERT INTO return_items (account_id, live, order_id, return_id, place, line_position, sku_id,
                          quantity)
SELECT r.account_id, false, r.order_id, r.id, 0, 0,
       CASE WHEN i % 9000 = 18 THEN 'rare-sku' WHEN i % 3 = 0 THEN 'tee'
            ELSE 'sku-' || i % 2000 END, 1
  FROM generate_series(1, $2::integer) AS i
  JOIN returns r ON r.account_id = $1 AND r.id = 'rt-' || $1 || i
"""

_DISPUTES = """
INSERT INTO disputes (account_id, live, order_id, id, created_at, charge_id, amount_minor, state,
    resolved_at, chargeback_minor, fraud)
SELECT c.account_id, false, c.order_id, 'dp-' || c.order_id, c.created_at, c.id, 1000, s.state,
       CASE WHEN s.state <> 'open' THEN c.created_at END,
       CASE WHEN s.state = 'lost' THEN 1000 END, CASE WHEN s.state = 'lost' THEN false END
  FROM generate_series(1, $2::integer) AS i
  JOIN charges c ON c.account_id = $1 AND c.id = 'ch-' || $1 || i,
       LATERAL (SELECT CASE WHEN i BETWEEN 300 AND 310 THEN 'open' WHEN i % 20 = 0 THEN 'won'
                            ELSE 'lost' END AS state) AS s
"""

_SALES = """
INSERT INTO sales_transactions (account_id, live, order_id, id, created_at, dispute_id, type,
    currency, exponent, amount_minor, quantity, order_upstream_id, sku_id, payment_type, object)
SELECT d.account_id, false, d.order_id, 'st-' || d.order_id, d.created_at, d.id,
       CASE WHEN i BETWEEN 300 AND 320 THEN 'fraud_chargeback' ELSE 'non_fraud_chargeback' END,
       CASE WHEN i BETWEEN 900 AND 920 THEN 'SEK' ELSE 'USD' END, 2,
       CASE WHEN i % 10000 = 3 THEN -99000000 ELSE -1000 - i % 50000 END,
       CASE WHEN i % 10000 = 3 THEN 77 ELSE 1 + i % 3 END, 'up-' || i,
       CASE WHEN i % 9000 = 18 THEN 'rare-sku' WHEN i % 3 = 0 THEN 'tee'
            ELSE 'sku-' || i % 2000 END,
       CASE WHEN i BETWEEN 900 AND 920 THEN 'klarnaCredit' ELSE 'creditCard' END, '{}'
  FROM generate_series(1, $2::integer) AS i
  JOIN disputes d ON d.account_id = $1 AND d.id = 'dp-' || $1 || i
"""

_EVENTS = """
INSERT INTO events (account_id, live, id, created_at, type, order_id, order_sequence, object)
SELECT $1, false, 'ev-' || $1 || i, now() - ($2 - i) * interval '864 seconds',
       CASE WHEN i BETWEEN 300 AND 310 THEN 'order.blocked' WHEN i % 9000 = 17 THEN 'refund.failed'
            WHEN i < 8000 THEN 'return.created' WHEN i % 2 = 0 THEN 'refund.created'
            ELSE 'refund.pending' END, 'o', i, '{}'
  FROM generate_series(1, $2::integer) AS i
"""

_STATEMENTS = (_ORDERS, _LINES, _CHARGES, _FULFILLMENTS, _REFUNDS, _RETURNS, _RETURN_ITEMS,
               _DISPUTES, _SALES, _EVENTS)  # fmt: skip


async def fill(database: Database, account: str, count: int) -> None:
    """An account of that id with `count` orders and all that hangs on them."""
    await database.execute(
        "INSERT INTO accounts (id, name, created_at) VALUES ($1, $1, now())", account
    )
    for statement in _STATEMENTS:
        await database.execute(statement, account, count)
