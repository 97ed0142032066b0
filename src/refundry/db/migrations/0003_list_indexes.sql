-- What the lists need to find few rows in large tables, and nothing that a refund would pay for
-- twice. docs/decisions/0017-list-indexes.md tells the trade.
--
-- A filter by equality has (account_id, live, column, created_at, seq): a page is read in its order,
-- whether the value is frequent or rare, and however it is spread over the years. Partial where
-- most rows have no value, so that those pay nothing.
--
-- No b-tree names a column of orders or order_lines that the life of a refund changes (version,
-- event_sequence, last_event_at, updated_at, refunded_minor; held, refunded): one such index, and
-- each refund would write an entry into every index of the order instead of none (HOT updates).
-- BRIN indexes do not stand in the way of those (since PostgreSQL 16).

CREATE INDEX orders_by_state ON orders (account_id, live, state, created_at, seq);
CREATE INDEX orders_by_fraud_state ON orders (account_id, live, fraud_state, created_at, seq)
 WHERE fraud_state IS NOT NULL;
CREATE INDEX orders_by_customer ON orders (account_id, live, customer_id, created_at, seq)
 WHERE customer_id IS NOT NULL;
CREATE INDEX orders_by_checkout ON orders (account_id, live, checkout_id, created_at, seq)
 WHERE checkout_id IS NOT NULL;
CREATE INDEX orders_by_application ON orders (account_id, live, application_id, created_at, seq)
 WHERE application_id IS NOT NULL;
CREATE INDEX orders_by_email ON orders (account_id, live, lower(email), created_at, seq)
 WHERE email IS NOT NULL;
CREATE INDEX orders_by_currency ON orders (account_id, live, lower(currency), created_at, seq);
CREATE INDEX orders_by_browser_ip ON orders (account_id, live, browser_ip, created_at, seq)
 WHERE browser_ip IS NOT NULL;
CREATE INDEX orders_by_locale ON orders (account_id, live, locale, created_at, seq)
 WHERE locale IS NOT NULL;
CREATE INDEX orders_by_customer_type ON orders (account_id, live, customer_type, created_at, seq)
 WHERE customer_type IS NOT NULL;
CREATE INDEX orders_by_total ON orders
    (account_id, live, (total_minor * 10::numeric ^ -exponent));

CREATE INDEX orders_pending_payment ON orders (account_id, live, pending_payment_at)
 WHERE pending_payment_at IS NOT NULL;
CREATE INDEX orders_in_review ON orders (account_id, live, in_review_at)
 WHERE in_review_at IS NOT NULL;
CREATE INDEX orders_accepted ON orders (account_id, live, accepted_at)
 WHERE accepted_at IS NOT NULL;
CREATE INDEX orders_blocked ON orders (account_id, live, blocked_at)
 WHERE blocked_at IS NOT NULL;
CREATE INDEX orders_cancelled ON orders (account_id, live, cancelled_at)
 WHERE cancelled_at IS NOT NULL;
CREATE INDEX orders_fulfilled ON orders (account_id, live, fulfilled_at)
 WHERE fulfilled_at IS NOT NULL;
CREATE INDEX orders_complete ON orders (account_id, live, complete_at)
 WHERE complete_at IS NOT NULL;
CREATE INDEX orders_returned ON orders (account_id, live, returned_at)
 WHERE returned_at IS NOT NULL;
CREATE INDEX orders_fraud_review_opened ON orders (account_id, live, fraud_review_opened_at)
 WHERE fraud_review_opened_at IS NOT NULL;
CREATE INDEX orders_fraud_blocked ON orders (account_id, live, fraud_blocked_at)
 WHERE fraud_blocked_at IS NOT NULL;
CREATE INDEX orders_fraud_passed ON orders (account_id, live, fraud_passed_at)
 WHERE fraud_passed_at IS NOT NULL;
-- Imported orders that entered a state before they were made, as it seems: a list that begins at
-- a bound on created_at looks them up apart.
CREATE INDEX orders_backdated ON orders (account_id, live, created_at, seq)
 WHERE created_at > least(in_review_at, pending_payment_at, accepted_at, blocked_at, cancelled_at,
                          fulfilled_at, complete_at, returned_at, fraud_blocked_at,
                          fraud_review_opened_at, fraud_passed_at);

-- Orders in states that few orders ever enter, newest first, for wide ranges of their times.
CREATE INDEX orders_strayed ON orders (account_id, live, created_at, seq)
 WHERE in_review_at IS NOT NULL OR blocked_at IS NOT NULL OR cancelled_at IS NOT NULL
    OR returned_at IS NOT NULL OR fraud_blocked_at IS NOT NULL
    OR fraud_review_opened_at IS NOT NULL OR fraud_passed_at IS NOT NULL;

-- multi: several intervals a range of pages, as one order of it that was updated lately should not
-- make all of it look so. autosummarize: ranges that are not summarized are read as a whole, and
-- those are the newest. Few pages a range, as for one row wanted all rows of its range are read;
-- but the summaries themselves are all read by each query.
CREATE INDEX orders_updated ON orders USING brin (updated_at timestamptz_minmax_multi_ops)
  WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX orders_refunded ON orders USING brin
    ((refunded_minor * 10::numeric ^ -exponent) numeric_minmax_multi_ops)
  WITH (pages_per_range = 16, autosummarize = on);

CREATE INDEX charges_by_state ON charges (account_id, live, state, created_at, seq);
CREATE INDEX charges_by_type ON charges (account_id, live, type, order_id);

CREATE INDEX fulfillments_by_company ON fulfillments
    (account_id, live, tracking_company, created_at, seq) WHERE tracking_company IS NOT NULL;
CREATE INDEX fulfillments_by_number ON fulfillments
    (account_id, live, tracking_number, created_at, seq) WHERE tracking_number IS NOT NULL;

-- The hot path: an order-level refund without a reason pays for three entries more. The settlement
-- changes state and refunded_minor, so that it writes its row's entries again.
-- lower: so that no command's own condition on the state can be tempted to this index. With the
-- statistics of an empty table it looks as good as the order's, and reads the whole account.
CREATE INDEX refunds_by_state ON refunds (account_id, live, lower(state), created_at, seq);
CREATE INDEX refunds_by_amount ON refunds
    (account_id, live, (amount_minor * 10::numeric ^ -exponent));
CREATE INDEX refunds_by_refunded ON refunds
    (account_id, live, (refunded_minor * 10::numeric ^ -exponent));
CREATE INDEX refunds_by_reason ON refunds (account_id, live, reason, created_at, seq)
 WHERE reason IS NOT NULL;
CREATE INDEX refunds_by_failure ON refunds (account_id, live, failure_reason, created_at, seq)
 WHERE failure_reason IS NOT NULL;
-- fastupdate: a list of pending entries makes one request in thousands pay for all of them.
CREATE INDEX refunds_by_sku ON refunds USING gin (sku_ids) WITH (fastupdate = off)
 WHERE cardinality(sku_ids) > 0;

CREATE INDEX returns_by_state ON returns (account_id, live, state, created_at, seq);
CREATE INDEX return_items_by_sku ON return_items (account_id, live, sku_id, order_id, return_id)
 WHERE sku_id IS NOT NULL;

CREATE INDEX disputes_by_state ON disputes (account_id, live, state, created_at, seq);

-- Written for lost disputes only.
CREATE INDEX sales_transactions_by_type ON sales_transactions
    (account_id, live, type, created_at, seq);
CREATE INDEX sales_transactions_by_currency ON sales_transactions
    (account_id, live, lower(currency), created_at, seq);
CREATE INDEX sales_transactions_by_sku ON sales_transactions
    (account_id, live, sku_id, created_at, seq);
CREATE INDEX sales_transactions_by_payment ON sales_transactions
    (account_id, live, lower(payment_type), created_at, seq);
CREATE INDEX sales_transactions_by_upstream ON sales_transactions
    (account_id, live, order_upstream_id) WHERE order_upstream_id IS NOT NULL;
CREATE INDEX sales_transactions_by_quantity ON sales_transactions
    (account_id, live, (quantity::numeric));
CREATE INDEX sales_transactions_by_amount ON sales_transactions
    (account_id, live, (amount_minor * 10::numeric ^ -exponent));

-- What `refundry retain` deletes by age.
CREATE INDEX processor_notifications_age ON processor_notifications (received_at)
 WHERE due_at IS NULL;
CREATE INDEX mails_age ON mails (created_at) WHERE due_at IS NULL;

-- An operation is claimed, then settled. With half of each page kept free the claim stays in its
-- page and writes no index entry; at 80 a third of the claims did not. Holds for new pages.
ALTER TABLE charge_operations SET (fillfactor = 50);
